"""`kubectl tandem apply`: the same manifests to every cluster, by `kubectl apply`, and what each one said."""

import asyncio
from collections.abc import Sequence
from typing import Final

from tandem.cli.kustomize import built, kubectl

APPLY_S: Final = 60.0
"""Seconds that one cluster may take."""


async def run(contexts: Sequence[str], files: Sequence[str], folders: Sequence[str]) -> int:
    """Apply to all contexts at once. Exit code 1 when any of them refused or did not answer.

    Args:
        files: Files and folders of manifests, as kubectl reads them.
        folders: Instead of them, folders with a kustomization: built once, so that every cluster gets the same.
    Raises: ConfigError without kubectl, and when a kustomization cannot be built.
    """
    program = kubectl()
    manifests = "---\n".join([text for _, text in await built(folders)]).encode() if folders else None
    flags = [flag for file in (["-"] if folders else files) for flag in ("-f", file)]

    async def one(context: str) -> tuple[str, int, str]:
        process = await asyncio.create_subprocess_exec(
            program,
            *("--context", context, "--request-timeout", "20s", "apply", *flags),
            stdin=asyncio.subprocess.PIPE if manifests is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(APPLY_S):
                said, _ = await process.communicate(manifests)
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
