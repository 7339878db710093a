"""How well a system is kept, in numbers that each come from evidence in the store, or are unknown.

- `definitions`: the indicators, each a small class with its definition, unit and measure;
- `evidence`: the questions that they ask the store;
- `probes`: asking a system whether it is there, once a minute, and keeping what came of it by the hour;
- `measure`: `measure(store, system, now, days)`: all of them.
"""
