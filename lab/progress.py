"""What is going on, how far it is and how long is left, for everything that takes more than two seconds.

Lines, not bars: cities start at once, and logs of CI read the same as a terminal.
"""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

from lab.paths import cache

QUIET_S: Final = 2.0
"""A step shorter than this says nothing."""

EVERY_S: Final = 5.0
"""Seconds between two lines of one step."""

_started: Final = time.monotonic()
_print_lock = threading.Lock()


def say(text: str, *, stream: TextIO | None = None) -> None:
    """One line with the seconds since we started."""
    with _print_lock:
        print(f"[lab {time.monotonic() - _started:6.1f}s] {text}", file=stream or sys.stderr, flush=True)


def human(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min"


def left_s(elapsed_s: float, usual_s: float | None, share: float) -> float | None:
    """Seconds that remain, or None when nobody can tell.

    What was done so far beats the memory of the last time, once there is enough of it.

    Args:
        share: Of the work that is done, from 0 to 1.
    """
    if 0 < share < 1 and (usual_s is None or elapsed_s > usual_s / 4):
        return elapsed_s / share * (1 - share)
    if usual_s is not None and usual_s > elapsed_s:
        return usual_s - elapsed_s
    return None


class Step:
    """One thing that is going on."""

    def __init__(self, what: str, *, usual_s: float | None, total: int | None) -> None:
        self.what = what
        self._usual_s = usual_s
        self._total = total
        self._done = 0
        self._share = 0.0
        self._detail = ""
        self._began = time.monotonic()
        self._over = threading.Event()
        self._spoke = False
        self._thread = threading.Thread(target=self._tick, daemon=True, name=f"progress: {what}")
        self._thread.start()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def at(self, done: int, detail: str = "", *, share: float | None = None) -> None:
        """`done` of the total are finished; `detail` is what comes now.

        Args:
            share: Of the work that is done, from 0 to 1, where the parts are not alike.
        """
        self._done = done
        self._share = share if share is not None else done / self._total if self._total else 0.0
        self._detail = detail

    def line(self) -> str:
        """The line to show now."""
        parts = [self.what]
        if self._total:
            parts.append(f"{self._done} of {self._total}")
        if self._detail:
            parts.append(self._detail)
        text = ", ".join(parts)
        left = left_s(self.elapsed_s, self._usual_s, self._share)
        rest = f", about {human(left)} left" if left is not None else ""
        return f"{text} ... {human(self.elapsed_s)} so far{rest}"

    def end(self, *, failed: bool) -> None:
        self._over.set()
        self._thread.join()
        if failed:
            say(f"{self.what}: failed after {human(self.elapsed_s)}")
        elif self._spoke or self.elapsed_s >= QUIET_S:
            say(f"{self.what}: done in {self.elapsed_s:.1f} s")

    def _tick(self) -> None:
        wait = QUIET_S
        while not self._over.wait(wait):
            self._spoke = True
            say(self.line())
            wait = EVERY_S


@contextlib.contextmanager
def step(
    what: str, *, key: str | None = None, usual_s: float | None = None, total: int | None = None
) -> Iterator[Step]:
    """Show `what` while the block runs.

    Args:
        key: Under this name the duration is remembered for the next estimate.
        usual_s: Estimate in seconds as long as nothing is remembered.
        total: Number of parts, for `Step.at`.
    """
    remembered = _Timings(cache() / "timings.json")
    current = Step(what, usual_s=remembered.get(key) or usual_s, total=total)
    try:
        yield current
    except BaseException:
        current.end(failed=True)
        raise
    current.end(failed=False)
    if key:
        remembered.put(key, current.elapsed_s)


class _Timings:
    """How long steps took the last time, in seconds. Only an aid: a broken file is an empty one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _read(self) -> dict[str, float]:
        try:
            found = json.loads(self._path.read_text())
            return {str(key): float(value) for key, value in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def get(self, key: str | None) -> float | None:
        return self._read().get(key) if key else None

    def put(self, key: str, seconds: float) -> None:
        values = self._read()
        values[key] = round(seconds, 1)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(f".{threading.get_ident()}.new")
        fresh.write_text(json.dumps(values, indent=1, sort_keys=True))
        fresh.replace(self._path)
