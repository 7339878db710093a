"""Two threads that decode a type for the first time: the process must not end by SIGSEGV."""

from __future__ import annotations

import subprocess
import sys

RACE = """
import threading
from typing import Annotated
import msgspec
from courtkeeper import structs

slow = False
looking, done = threading.Event(), threading.Event()

class Slow:
    def __hash__(self):  # msgspec asks for it while it looks at a type
        if slow:
            looking.set()
            done.wait(1)
        return 1

class Job(msgspec.Struct):
    name: Annotated[str, Slow()]

class Calendar(msgspec.Struct):
    jobs: list[Job]

def decode():
    msgspec.convert({"jobs": [{"name": "a"}]}, Calendar)

structs.prepare()
slow = True
first = threading.Thread(target=decode)
first.start()
looking.wait(1)
for _ in range(1000):
    decode()
done.set()
first.join()
print("whole")
"""


def test_what_is_prepared_can_be_decoded_by_two_threads_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RACE], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr
