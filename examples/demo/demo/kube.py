"""kubectl and helm on one city, as a user calls them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from demo.errors import ToolError
from lab.commands import run_async
from lab.errors import CommandError, DeadlineError

APPLY_S: Final = 30.0
"""Longest that a few objects take to be applied."""


async def tool(argv: Sequence[str], *, stdin: str | None = None, timeout: float = 60.0) -> str:
    """Standard output of a program. Raises: ToolError with what it said."""
    try:
        return await run_async(argv, stdin=stdin, timeout=timeout)
    except CommandError as e:
        said = e.output.strip() or f"exit status {e.status}"
        raise ToolError(f"{Path(argv[0]).name} {' '.join(argv[1:4])} ...: {said}") from e
    except DeadlineError as e:
        raise ToolError(str(e)) from e


@dataclass(frozen=True)
class Cluster:
    """One city's Kubernetes API."""

    city: str
    kubeconfig: Path
    kubectl_binary: str
    helm_binary: str

    async def kubectl(self, *args: str, stdin: str | None = None, timeout: float = 30.0) -> str:
        """Standard output of kubectl. Raises: ToolError with what it said."""
        return await tool(
            [self.kubectl_binary, "--kubeconfig", str(self.kubeconfig), *args], stdin=stdin, timeout=timeout
        )

    async def apply(self, *files: Path, timeout: float = APPLY_S) -> str:
        """`kubectl apply -f` each file."""
        named = [part for file in files for part in ("-f", str(file))]
        return await self.kubectl("apply", *named, timeout=timeout)

    async def apply_objects(self, *objects: Mapping[str, Any]) -> str:
        """`kubectl apply` of objects made in Python; by the server, for the client would note each whole in itself."""
        return await self.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(objects))

    async def get(self, kind: str, name: str = "", *, namespace: str = "callcenter") -> dict[str, Any]:
        """One object, or a list of all of a kind."""
        named = [kind, name] if name else [kind]
        found: dict[str, Any] = json.loads(await self.kubectl("get", *named, "-n", namespace, "-o", "json"))
        return found

    async def helm(self, *args: str, timeout: float = 180.0) -> str:
        """Standard output of helm. Raises: ToolError with what it said."""
        return await tool([self.helm_binary, "--kubeconfig", str(self.kubeconfig), *args], timeout=timeout)
