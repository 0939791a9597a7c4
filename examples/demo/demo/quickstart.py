"""The quickstart's manifests as values, at their own size or smaller for quicker tests."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from demo.paths import QUICKSTART


@dataclass(frozen=True)
class Group:
    """One AgentGroup; `name` is `namespace/name`, `home` the first of its sites."""

    name: str
    system: str
    region: str
    skill_group: str
    agents: int
    home: str


@dataclass(frozen=True)
class Quickstart:
    """A folder of manifests, and what is in them."""

    folder: Path
    groups: tuple[Group, ...]
    numbers: Mapping[str, str] = field(default_factory=dict)
    """Called number -> group."""

    def group(self, name: str) -> Group:
        """Raises: KeyError naming the group that is not there."""
        found = next((group for group in self.groups if group.name == name), None)
        if found is None:
            raise KeyError(f"no group {name} in {self.folder}")
        return found

    def choose(self, home: str = "", **fields: str) -> tuple[Group, ...]:
        """Groups of one home whose fields (`system`, `region`, `skill_group`) all match; empty matches all."""
        return tuple(
            group
            for group in self.groups
            if (not home or group.home == home) and all(getattr(group, key) == value for key, value in fields.items())
        )

    def numbers_of(self, groups: tuple[Group, ...]) -> list[str]:
        """The numbers that these groups answer."""
        names = {group.name for group in groups}
        return sorted(number for number, group in self.numbers.items() if group in names)

    @property
    def agents_by_home(self) -> dict[str, int]:
        """Home -> agents."""
        homes: dict[str, int] = {}
        for group in self.groups:
            homes[group.home] = homes.get(group.home, 0) + group.agents
        return homes


def documents(path: Path) -> Iterator[dict[str, Any]]:
    """The documents of one manifest file."""
    return (document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document)


def load(folder: Path = QUICKSTART) -> Quickstart:
    """Read a folder with `agentgroups.yaml` and `trunks.yaml`."""
    numbers = {
        number["number"]: f"{trunk['metadata']['namespace']}/{number['group']}"
        for trunk in documents(folder / "trunks.yaml")
        for number in trunk["spec"]["numbers"]
    }
    groups = tuple(_group(document) for document in documents(folder / "agentgroups.yaml"))
    return Quickstart(folder=folder, groups=groups, numbers=numbers)


def _group(document: Mapping[str, Any]) -> Group:
    spec = document["spec"]
    return Group(
        name=f"{document['metadata']['namespace']}/{document['metadata']['name']}",
        system=spec["system"],
        region=spec["region"],
        skill_group=spec["skillGroup"],
        agents=spec["agents"],
        home=spec["sites"][0],
    )


def scaled(
    factor: float, into: Path, folder: Path = QUICKSTART, home: str = "", sign_ins: int = 0, lease: float = 0.0
) -> Quickstart:
    """A copy of the manifests in `into` with the groups' agents multiplied by `factor`, each at least 2.

    A larger call centre has larger cities: each can bear everybody and a fifth more.

    Args:
        home: Multiply only the groups of this city; empty: all.
        sign_ins: Sign-ins a second that each CTI is said to bear; 0: as it was.
        lease: Seconds that a session at each CTI is said to outlive its last answered ping; 0: as it was.
    """
    whole = load(folder)
    sizes = {
        group.name: max(2, round(group.agents * factor)) if home in ("", group.home) else group.agents
        for group in whole.groups
    }
    everybody: Counter[str] = Counter()
    for group in whole.groups:
        everybody[group.system] += sizes[group.name]
    for source in sorted(folder.rglob("*.yaml")):
        target = into / source.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        found = [_scale(document, sizes, everybody, sign_ins, lease) for document in documents(source)]
        target.write_text(yaml.safe_dump_all(found, sort_keys=False), encoding="utf-8")
    return load(into)


def _scale(
    document: dict[str, Any], sizes: Mapping[str, int], everybody: Mapping[str, int], sign_ins: int, lease: float
) -> dict[str, Any]:
    for entry in document.get("groups", []):
        entry["agents"] = sizes[entry["group"]]
    if document.get("kind") == "AgentGroup":
        metadata = document["metadata"]
        document["spec"]["agents"] = sizes[f"{metadata['namespace']}/{metadata['name']}"]
    if document.get("kind") == "Site":
        for system in document["spec"].get("systems", []):
            for part in (system["softswitch"], system["cti"]):
                needed = round(everybody[system["name"]] * 1.2)
                part["capacity"]["agents"] = max(part["capacity"]["agents"], needed)
            if sign_ins:
                system["cti"]["capacity"]["signInsPerSecond"] = sign_ins
            if lease:
                system["cti"]["lease"] = f"{round(1000 * lease)}ms"
    return document
