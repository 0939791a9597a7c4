"""The call centre of a bench, at the size that is asked for."""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from demo import quickstart
from demo.callcentre import CallCentre, Say
from lab.interface import Lab

USUAL: Final = 1000
"""Agents at east in the quickstart."""

SIGN_INS: Final = 4000
"""Sign-ins a second that a CTI bears then: what one does that has nothing else to do."""

SEVERAL_THOUSAND: Final = {"lease": 6.0, "ping": 3.0, "signInRate": SIGN_INS}
"""Lease and ping of the CTIs, seconds, for more than 2,000 agents on this machine: at the usual 0.9 s, 10,000 agents'
pings alone take both processors. A lost city's doors open after 2.7 s or later; who was pinged last waits the rest."""

COME_IN: Final = 30.0
"""Agents a second who come in on each floor then: a connection and a registration in each city are most of the work."""


def file_name(what: str, agents: int) -> str:
    """What a bench's files are called, without their ending."""
    return what if agents == USUAL else f"{what}-{agents}"


def centre_of(agents: int, lab: Lab, folder: Path, say: Say) -> CallCentre:
    """The quickstart with `agents` at east; at west as many as ever, 200."""
    if agents == USUAL:
        return CallCentre(lab, quickstart.load(), folder, say=say)
    usual = agents <= 2 * USUAL
    lease = 0.0 if usual else SEVERAL_THOUSAND["lease"]
    chosen = quickstart.scaled(agents / USUAL, folder / "manifests", home="east", sign_ins=SIGN_INS, lease=lease)
    if usual:
        return CallCentre(lab, chosen, folder, say=say)
    centre = CallCentre(lab, chosen, folder, say=say, cti=SEVERAL_THOUSAND)
    centre.floors.start_rate = COME_IN
    return centre


def cut(home: str, parts: int, into: Path) -> quickstart.Quickstart:
    """A copy of the quickstart in `into` with each group of one home cut into so many, with as many agents in all.

    A part of `sales` is called `sales-07`, and its number ends with 07.
    """
    whole = quickstart.load()
    sizes = {group.name.partition("/")[2]: group.agents for group in whole.choose(home)}
    into.mkdir(parents=True, exist_ok=True)
    for name in ("sites.yaml", "agentgroups.yaml", "trunks.yaml", "groups.yaml"):
        found = [
            part for document in quickstart.documents(whole.folder / name) for part in _cut(document, sizes, parts)
        ]
        (into / name).write_text(yaml.safe_dump_all(found, sort_keys=False), encoding="utf-8")
    return quickstart.load(into)


def _cut(document: dict[str, Any], sizes: Mapping[str, int], parts: int) -> Iterator[dict[str, Any]]:
    if document.get("kind") == "AgentGroup" and document["metadata"]["name"] in sizes:
        group = document["metadata"]["name"]
        for number, agents in enumerate(_shares(sizes[group], parts), 1):
            part = copy.deepcopy(document)
            part["metadata"]["name"], part["spec"]["agents"] = f"{group}-{number:02d}", agents
            yield part
        return
    if document.get("kind") == "Trunk":
        document["spec"]["numbers"] = [
            {"number": entry["number"] + suffix.replace("-", ""), "group": entry["group"] + suffix}
            for entry in document["spec"]["numbers"]
            for suffix in _suffixes(entry["group"], sizes, parts)
        ]
    if "groups" in document:
        document["groups"] = [part for entry in document["groups"] for part in _entries(entry, sizes, parts)]
    yield document


def _entries(entry: Mapping[str, Any], sizes: Mapping[str, int], parts: int) -> Iterator[dict[str, Any]]:
    suffixes = _suffixes(entry["group"].partition("/")[2], sizes, parts)
    for suffix, agents in zip(suffixes, _shares(entry["agents"], len(suffixes)), strict=True):
        yield {**entry, "group": entry["group"] + suffix, "agents": agents}


def _suffixes(group: str, sizes: Mapping[str, int], parts: int) -> list[str]:
    return [f"-{number:02d}" for number in range(1, parts + 1)] if group in sizes else [""]


def _shares(agents: int, parts: int) -> list[int]:
    return [agents // parts + (number < agents % parts) for number in range(parts)]
