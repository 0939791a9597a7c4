"""`kubectl tandem apply -f`: the same manifests to every cluster, by `kubectl apply`, and what each one said."""

import asyncio
import shutil
from collections.abc import Sequence
from typing import Final

from tandem.errors import ConfigError

APPLY_S: Final = 60.0
"""Seconds that one cluster may take."""


async def run(contexts: Sequence[str], files: Sequence[str]) -> int:
    """Apply to all contexts at once. Exit code 1 when any of them refused or did not answer.

    Raises: ConfigError without kubectl.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise ConfigError("kubectl is not on PATH; `apply` hands the files to it")
    flags = [flag for file in files for flag in ("-f", file)]

    async def one(context: str) -> tuple[str, int, str]:
        process = await asyncio.create_subprocess_exec(
            kubectl,
            *("--context", context, "--request-timeout", "20s", "apply", *flags),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(APPLY_S):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return context, 1, f"no answer within {APPLY_S:.0f} s"
        return context, process.returncode or 0, said.decode(errors="replace").strip()

    answers = await asyncio.gather(*(one(context) for context in contexts))
    for context, _, said in answers:
        print(f"cluster {context}:")
        print("\n".join(f"  {line}" for line in said.splitlines()))
    failed = [context for context, code, _ in answers if code]
    if failed:
        print(
            f"Not applied in {', '.join(failed)}. Orders act when all Active sites have read the same object: correct "
            "the cause and apply again; what is unchanged stays unchanged."
        )
    return 1 if failed else 0
