"""Running programs: to the end, with their output in the error when they fail."""

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence

from lab.errors import CommandError, DeadlineError


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float = 120.0,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> str:
    """Standard output of `argv`. Raises CommandError on any status but 0, DeadlineError after `timeout` seconds."""
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=timeout, env=env, cwd=cwd, check=False
        )
    except FileNotFoundError as error:
        raise CommandError(argv, 127, str(error)) from None
    except subprocess.TimeoutExpired:
        raise DeadlineError(f"`{' '.join(argv)}` was not done after {timeout:.0f} s") from None
    if done.returncode != 0:
        raise CommandError(argv, done.returncode, done.stdout + done.stderr)
    return done.stdout


async def run_async(argv: Sequence[str], *, stdin: str | None = None, timeout: float = 120.0) -> str:
    """The same for callers that do several things at once. The program is killed when the caller is cancelled."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise CommandError(argv, 127, str(error)) from None
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode() if stdin is not None else None), timeout)
    except TimeoutError:
        raise DeadlineError(f"`{' '.join(argv)}` was not done after {timeout:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise CommandError(argv, process.returncode or 0, out.decode(errors="replace") + err.decode(errors="replace"))
    return out.decode(errors="replace")
