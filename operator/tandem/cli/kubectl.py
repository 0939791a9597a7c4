"""Running kubectl, to which files, folders and kustomizations are handed."""

import asyncio
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass

from tandem.errors import ConfigError


@dataclass(frozen=True)
class Said:
    """How a run of kubectl ended, and what it has written."""

    code: int
    out: bytes
    err: bytes = b""


def kubectl() -> str:
    """Path of the program. Raises: ConfigError."""
    found = shutil.which("kubectl")
    if found is None:
        raise ConfigError("kubectl is not on PATH; files and folders are handed to it")
    return found


async def ran(*arguments: str, within_s: float, given: bytes = b"", together: bool = False) -> Said:
    """Run it to its end.

    Args:
        within_s: Seconds that it may take; then it is killed.
        given: What it reads from its standard input.
        together: Whether its complaints are to be among what it says, in their order.
    Raises: TimeoutError; ConfigError without kubectl, or without room for what it says.
    """
    # Files, not pipes: a pipe is held open by whatever kubectl has started (a credential plugin, git), and would be
    # waited for although kubectl itself has been killed, or is done.
    with ExitStack() as stack:
        try:
            stdin, out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
            stdin.write(given)
            stdin.seek(0)
        except OSError as error:
            raise ConfigError(f"no temporary files for kubectl ({error}); set TMPDIR to a folder with room") from error
        complaints = asyncio.subprocess.STDOUT if together else err
        process = await asyncio.create_subprocess_exec(
            kubectl(), *arguments, stdin=stdin, stdout=out, stderr=complaints
        )
        try:
            async with asyncio.timeout(within_s):
                code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        out.seek(0)
        err.seek(0)
        return Said(code, out.read(), err.read())
