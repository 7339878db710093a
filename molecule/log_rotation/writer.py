"""Write numbered lines to a log that stays open, and open it anew on SIGHUP, as a good service does."""

import os
import signal
import sys
import time


def opened() -> int:
    return os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)


def reopen(_number: int, _frame: object) -> None:
    global log
    before, log = log, opened()
    os.close(before)


log = opened()
signal.signal(signal.SIGHUP, reopen)
number = 0
while True:
    number += 1
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # a line belongs to one file
    os.write(log, f"{number}\n".encode())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    time.sleep(0.0005)
