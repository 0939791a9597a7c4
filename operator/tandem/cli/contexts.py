"""The clusters that a command talks to: contexts of the kubeconfig, asked all at once, each with its own short timeout.

A city whose API does not answer is shown as such and keeps nobody waiting.
"""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, Literal, Self, TypeVar

import yaml

from tandem.api.common import WHO_LETTERS
from tandem.api.resources import Resource
from tandem.domain.reasons import Reason
from tandem.errors import ConfigError
from tandem.operator.cluster import ApiError, Cluster, MissingError, RefusedError, path_of
from tandem.operator.objects import seconds

T = TypeVar("T")

ASK_S: Final = 5.0
"""Seconds that one cluster may take to answer one question."""

CONFIRM_S: Final = 6.0
"""Seconds for one cluster's operator to carry a command to the store and show what comes of it."""

PROMPT_S: Final = 0.5
"""Seconds within which a cluster answers that is well: who does not is asked last, for its city may be gone."""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What one cluster said, or why it said nothing."""

    context: str
    value: T | None
    trouble: str = ""


def kubeconfig_files(environment: Mapping[str, str]) -> list[Path]:
    """Files that kubectl would read."""
    listed = [Path(part) for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    return listed or [Path.home() / ".kube" / "config"]


def known_contexts(files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Context name -> its settings, over all files; the first file that names one wins."""
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        try:
            content = yaml.safe_load(file.read_text()) or {}
        except OSError:
            continue
        for entry in content.get("contexts") or ():
            found.setdefault(entry["name"], {**(entry.get("context") or {}), "file": str(file)})
    return found


def chosen(wanted: Sequence[str], files: Sequence[Path]) -> list[str]:
    """Contexts to talk to. Raises: ConfigError naming what is missing and what there is."""
    known = known_contexts(files)
    if not known:
        shown = ", ".join(map(str, files))
        raise ConfigError(f"no contexts in {shown}; set KUBECONFIG to the kubeconfigs of your clusters")
    if unknown := [name for name in wanted if name not in known]:
        raise ConfigError(f"--contexts names {unknown[0]!r}, but there are {', '.join(sorted(known))}")
    return list(wanted) or list(known)


class Clusters:
    """Open connections to several clusters."""

    def __init__(self, names: Sequence[str], files: Sequence[Path]) -> None:
        self.names = list(names)
        self._known = known_contexts(files)
        self._clusters: dict[str, Cluster] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for name in self.names:
            file = Path(self._known[name]["file"])
            self._clusters[name] = await self._stack.enter_async_context(await Cluster.connect(file, name))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def __getitem__(self, name: str) -> Cluster:
        return self._clusters[name]

    def namespace(self, name: str) -> str:
        """The context's own namespace."""
        return str(self._known[name].get("namespace") or "default")

    async def ask(self, question: Callable[[Cluster], Awaitable[T]]) -> list[Answer[T]]:
        """Ask every cluster at once; silence is an answer."""

        async def one(name: str) -> Answer[T]:
            try:
                async with asyncio.timeout(ASK_S):
                    return Answer(name, await question(self._clusters[name]))
            except TimeoutError:
                return Answer(name, None, f"does not answer within {ASK_S:.0f} s")
            except MissingError:
                return Answer(name, None, "has no Tandem: install charts/tandem there, or leave it out with --contexts")
            except ApiError as error:
                return Answer(name, None, str(error))

        return list(await asyncio.gather(*(one(name) for name in self.names)))


@dataclass(frozen=True)
class Told(Generic[T]):
    """What came of a step in the first cluster that shows an object."""

    context: str
    name: str
    """The object, as `namespace/name`."""
    value: T
    status: Mapping[str, Any] = field(default_factory=dict)
    """The object's, once something has come of the step; empty where nobody waited for it."""


def full_name(name: str, namespace: str, default: str) -> str:
    """An object's `namespace/name`; the name may have its namespace already, as everything that prints one shows it.

    Args:
        namespace: The one that was asked for, or empty.
        default: The context's own.
    Raises: ConfigError when two different ones are given.
    """
    own, _, short = name.rpartition("/")
    if own and namespace and own != namespace:
        raise ConfigError(f"{name} is of namespace {own}, but --namespace says {namespace}")
    return f"{own or namespace or default}/{short}"


async def in_first(
    clusters: Clusters,
    resource: Resource,
    name: str,
    namespace: str,
    step: Callable[[Cluster, str], Awaitable[T]],
    *,
    nowhere: str,
    shown: Callable[[T, Mapping[str, Any]], bool] | None = None,
    patience_s: float | None = None,
) -> Told[T] | None:
    """Take a step in the first cluster that shows this object and takes it; what the others say is printed.

    Args:
        namespace: Empty: each context's own.
        step: Called with the cluster and the object's `namespace/name`; may raise ApiError. Taken in several clusters
            when nothing comes of it in the first ones.
        nowhere: What to print when no cluster has it.
        shown: Whether the object's status shows what comes of the step: an API server may answer whose operator is
            dead or hears nothing from the store. None: nobody waits for it.
        patience_s: For how long each cluster is waited for; None: CONFIRM_S.
    Returns: None when the step was refused, when nothing came of it, or when no cluster has the object.
    Raises: ConfigError when two namespaces are given.
    """
    written: list[str] = []
    for context in await prompt_first(clusters):
        cluster = clusters[context]
        full = full_name(name, namespace, clusters.namespace(context))
        try:
            async with asyncio.timeout(ASK_S):
                value = await step(cluster, full)
            if shown is None:
                return Told(context, full, value)
            written.append(context)
            patience = CONFIRM_S if patience_s is None else patience_s
            status = await status_with(cluster, path_of(resource, full), partial(shown, value), patience)
            if status is not None:
                return Told(context, full, value, status)
            print(f"cluster {context}: nothing has come of it within {patience:.0f} s; trying the next one")
        except MissingError:
            print(f"cluster {context}: there is no {resource.kind} {full}; trying the next one")
        except RefusedError as error:
            # Another cluster would say the same.
            print(f"cluster {context}: {error}")
            return None
        except (ApiError, TimeoutError) as error:
            print(f"cluster {context}: {error or 'does not answer'}; trying the next one")
    if written:
        where = " and ".join(written)
        print(f"NOT CONFIRMED: {resource.kind} {name} has it in {where}, and nothing has come of it there.")
        print("Its operators or the store may be gone: kubectl tandem status; kubectl -n tandem-system logs ...")
    else:
        print(nowhere)
    return None


async def status_with(
    cluster: Cluster, path: str, shown: Callable[[Mapping[str, Any]], bool], patience_s: float
) -> Mapping[str, Any] | None:
    """The object's status as soon as it shows what is waited for; None: it does not in time.

    Raises: ApiError.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        status: Mapping[str, Any] = (await cluster.get(path)).get("status") or {}
        if shown(status):
            return status
        await asyncio.sleep(0.2)
    return None


def not_of_an_earlier(shift: Mapping[str, Any]) -> None:
    """Make sure that an object is of the Shift that has its name now. Raises: ApiError with what the object says."""
    status = shift.get("status") or {}
    if status.get("reason") == Reason.NAME_TAKEN:
        raise ApiError(str(status.get("message") or Reason.NAME_TAKEN))


def said_by(done: Literal["approved", "aborted"], by: str, shift: Told[Any]) -> str:
    """Who did it. Another cluster may have been told before: whom the store knows was the first."""
    first = shift.status.get(f"{done}By") or by
    if first != by:
        return f"Shift {shift.name} was {done} by {first} already, by way of another cluster"
    return f"Shift {shift.name} {done} by {by} (by way of {shift.context})"


def why_old(status: Mapping[str, Any]) -> str:
    """Why what this status shows is old: the operator there hears nothing from the store. Empty: it is not."""
    said = (one["message"] for one in status.get("conditions", ()) if one["reason"] == "StoreUnreachable")
    return next(said, "")


async def prompt_first(clusters: Clusters) -> list[str]:
    """Those who answer within a moment, then the others, both in their order: the command is given in an emergency."""
    if len(clusters.names) < 2:
        return clusters.names
    asked = {name: asyncio.create_task(clusters[name].get("/version")) for name in clusters.names}
    await asyncio.wait(asked.values(), timeout=PROMPT_S)
    silent = {name for name, task in asked.items() if not task.done() or task.exception() is not None}
    for task in asked.values():
        task.cancel()
    await asyncio.gather(*asked.values(), return_exceptions=True)
    return sorted(clusters.names, key=lambda name: name in silent)


async def who_am_i(cluster: Cluster) -> str:
    """The name under which the cluster knows us. Raises: ApiError."""
    return (await asked_by(cluster))[0]


async def asked_by(cluster: Cluster) -> tuple[str, float]:
    """The name under which the cluster knows us, and when it said so: seconds since the epoch, by its own clock.

    A command is followed within a minute or never, and a laptop's clock may be off by more than that.

    Raises: ApiError; RefusedError for a name that no operator would take.
    """
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    found = await cluster.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    at = seconds(str(found.get("metadata", {}).get("creationTimestamp") or ""))
    name = str(found["status"]["userInfo"].get("username", ""))
    if len(name) > WHO_LETTERS:
        whom = f"you are {name[:40]}... there, a name of {len(name)} letters"
        raise RefusedError(f"{whom}; {WHO_LETTERS} at most are written down, so ask as another user")
    return name, at or time.time()


def annotation_of(request: Mapping[str, Any]) -> str:
    """A command as the admission policies look through it for who asks: without a space, and names as they are."""
    return json.dumps(request, separators=(",", ":"), ensure_ascii=False)
