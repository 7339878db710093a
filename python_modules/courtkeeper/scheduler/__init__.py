"""The scheduler: claims what is due, runs it when nothing is in its way, and says what became of each slot.

- `loop`: `Scheduler(...)`, whose `tick()` does everything once and whose `serve(stop)` repeats it;
- `due`: which occurrences are due or missed; `gates`: what stands in the way of one;
- `executor`: what runs jobs (the driver), and the protocol for another; `resume`: going on after a failure;
- `forecast`: how long jobs take, and a preview of the coming days.
"""
