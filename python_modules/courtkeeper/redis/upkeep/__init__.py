"""The upkeep of a cache: what is asked for in vain goes, what has no end gets one, and nobody waits for it.

`settings` is what a caller declares, `globs` the patterns it is written in, `state` what is kept between
runs, `rates` the hit rates between two of them, `pace` the latency budget, `walk` the one pass over the
keys, `persistence` and `memory` the server's own work, `keys` what a sample shows, `run` the whole.
"""
