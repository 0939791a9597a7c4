"""A wall clock that is stepped in one process, while it runs, and nowhere else."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from lab import clocks
from lab.errors import NeedsError
from lab.processes import read_stat

CHILD = """
import ctypes, datetime, json, sys, threading, time
libc = ctypes.CDLL(None)
libc.time.restype = ctypes.c_long
def ask_all_the_time():
    while True:
        time.time()
for _ in range(2):
    threading.Thread(target=ask_all_the_time, daemon=True).start()
for _ in sys.stdin:
    day = (ctypes.c_long * 2)()
    libc.gettimeofday(day, None)
    wall = {"time": time.time(), "now": datetime.datetime.now().timestamp(), "libc": libc.time(None), "day": day[0]}
    other = {"monotonic": time.monotonic(), "boot": time.clock_gettime(time.CLOCK_BOOTTIME)}
    print(json.dumps([wall, other]), flush=True)
"""
Child = tuple[int, Callable[[], tuple[dict[str, float], dict[str, float]]]]


@pytest.fixture
def child() -> Iterator[Child]:
    """A process with threads that ask for the time without a pause; and how to ask it what its clocks say."""
    process = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def clocks_of() -> tuple[dict[str, float], dict[str, float]]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        wall, other = json.loads(process.stdout.readline())
        return wall, other

    clocks_of()
    yield process.pid, clocks_of
    process.kill()
    process.communicate()


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_every_wall_clock_of_one_process_is_stepped_and_no_other_clock(child: Child, seconds: int) -> None:
    pid, clocks_of = child
    clocks.step(pid, seconds)
    wall, other = clocks_of()
    assert all(value - time.time() == pytest.approx(seconds, abs=2.0) for value in wall.values()), wall
    assert other["monotonic"] == pytest.approx(time.monotonic(), abs=2.0)
    assert other["boot"] == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=2.0)
    assert clocks.all_stepped([pid, os.getpid(), 2**22 + 1]) == {pid}

    clocks.step(pid, 0)
    wall, _ = clocks_of()
    assert all(value - time.time() == pytest.approx(0, abs=2.0) for value in wall.values()), wall
    assert not clocks.stepped(pid)


def test_a_process_that_stood_still_stands_still_afterwards(child: Child) -> None:
    pid, clocks_of = child
    os.kill(pid, signal.SIGSTOP)
    while state_of_process(pid) != "T":
        time.sleep(0.001)
    clocks.step(pid, 60)
    assert state_of_process(pid) == "T"
    os.kill(pid, signal.SIGCONT)
    assert clocks_of()[0]["time"] - time.time() == pytest.approx(60, abs=2.0)


def state_of_process(pid: int) -> str:
    stat = read_stat(pid)
    assert stat is not None
    return stat.state


def test_another_processor_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    clocks._own.cache_clear()
    with pytest.raises(NeedsError, match="aarch64"):
        clocks.step(os.getpid(), 60)
