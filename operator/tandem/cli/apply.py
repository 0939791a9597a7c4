"""`kubectl tandem apply`: the same manifests to every cluster, by `kubectl apply`, and what each one said."""

import asyncio
from collections.abc import Sequence
from typing import Final

from tandem.cli.kubectl import ran
from tandem.cli.kustomize import built

APPLY_S: Final = 60.0
"""Seconds that one cluster may take."""


async def run(contexts: Sequence[str], files: Sequence[str], folders: Sequence[str]) -> int:
    """Apply to all contexts at once. Exit code 1 when any of them refused or did not answer.

    Args:
        files: Files and folders of manifests, as kubectl reads them.
        folders: Instead of them, folders with a kustomization: built once, so that every cluster gets the same.
    Raises: ConfigError without kubectl, and when a kustomization cannot be built.
    """
    manifests = "---\n".join([text for _, text in await built(folders)]).encode()
    flags = [flag for file in (["-"] if folders else files) for flag in ("-f", file)]

    async def one(context: str) -> tuple[str, int, str]:
        handed = ("--context", context, "--request-timeout", "20s", "apply", *flags)
        try:
            said = await ran(*handed, within_s=APPLY_S, given=manifests, together=True)
        except TimeoutError:
            return context, 1, f"no answer within {APPLY_S:.0f} s"
        return context, said.code, said.out.decode(errors="replace").strip()

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
