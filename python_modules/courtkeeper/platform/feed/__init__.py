"""The feed server: the NBA's two hosts in one loopback process, recorded or simulated.

`python -m courtkeeper.platform.feed --config FILE` serves the real paths and query strings,
so that a client cannot tell. What is where:

==================  ==========================================================================
`config`            the configuration file, refused whole when anything in it is wrong
`addresses`         path and query string → which payload is meant
`recorded`          recorded responses, byte for byte
`simulated`         the simulator behind the same addresses
`league`            teams, invented rosters, the calendar of nights, game ids
`simulator`         one game, play by play, from a seed (`plays`: what it writes)
`ledger`            running score, totals and box score, derived from the plays alone
`shapes_cdn`        payloads as cdn.nba.com writes them
`shapes_stats`      payloads as stats.nba.com writes them
`faults`            what can be broken on purpose, and how
`corrections`       a statistic corrected later, in plays and in recorded payloads
`app`               the Starlette application: headers, faults, log, control
==================  ==========================================================================
"""
