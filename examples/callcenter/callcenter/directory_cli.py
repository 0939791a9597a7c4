"""`callcenter-directory`: make the directory that both cities are given, from a list of groups.

callcenter-directory --groups groups.yaml --out directory.json.gz
kubectl -n callcenter create configmap directory --from-file=directory.json.gz
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from callcenter.directory import DirectoryError, GroupSize, generate, save

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")

EXAMPLE = """\
groups.yaml:

  realm: callcenter            # digest realm of the phones (default: callcenter)
  cities: [east, west]         # (default: these two)
  observers: [east, west, witness]  # Tandem's locations: each gets a test agent in every system (default: none)
  groups:
    - {group: callcenter/hotel-north-sales, system: hotel, agents: 200}
    - {group: callcenter/flight-south-service, system: flight, agents: 150}
"""


def read_groups(document: Any) -> tuple[list[GroupSize], list[str], str]:
    """The groups, cities and realm of a parsed `groups.yaml`. Raises: DirectoryError naming the entry that is wrong."""
    if not isinstance(document, dict) or not isinstance(document.get("groups"), list) or not document["groups"]:
        raise DirectoryError("there must be a list `groups` with at least one entry")
    unknown = set(document) - {"groups", "cities", "realm", "observers"}
    if unknown:
        raise DirectoryError(f"unknown: {', '.join(sorted(unknown))}")
    sizes = []
    for n, entry in enumerate(document["groups"], start=1):
        if not isinstance(entry, dict) or set(entry) != {"group", "system", "agents"}:
            raise DirectoryError(f"entry {n} of `groups` must have exactly group, system and agents: {entry!r}")
        if not isinstance(entry["agents"], int):
            raise DirectoryError(f"entry {n} of `groups`: agents must be a number, not {entry['agents']!r}")
        sizes.append(GroupSize(group=str(entry["group"]), system=str(entry["system"]), agents=entry["agents"]))
    cities = [str(city) for city in document.get("cities", ["east", "west"])]
    return sizes, cities, str(document.get("realm", "callcenter"))


def read_observers(document: Mapping[str, Any]) -> list[str]:
    """The locations that get test agents, of a `groups.yaml` that `read_groups` has checked. Raises: DirectoryError."""
    observers = document.get("observers", [])
    if not isinstance(observers, list) or not all(
        isinstance(name, str) and _NAME.fullmatch(name) for name in observers
    ):
        raise DirectoryError(f"`observers` must be a list of locations' names, like [east, west], not {observers!r}")
    if len(set(observers)) != len(observers):
        raise DirectoryError(f"`observers` names a location twice: {observers!r}")
    return observers


def main(argv: Sequence[str] | None = None) -> int:
    """Write the directory; returns the exit code (2: what was asked for is wrong)."""
    parser = argparse.ArgumentParser(
        prog="callcenter-directory",
        description="Generate the directory of agents. The same input gives the same file.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--groups", type=Path, required=True, help="YAML list of groups, see below")
    parser.add_argument("--out", type=Path, required=True, help="file to write; gzipped when named *.gz")
    parser.add_argument("--seed", default="demo", help="what the phones' passwords are derived from (default: demo)")
    args = parser.parse_args(argv)
    try:
        document = yaml.safe_load(args.groups.read_text(encoding="utf-8"))
        sizes, cities, realm = read_groups(document)
        observers = read_observers(document)
        directory = generate(sizes, cities=cities, realm=realm, seed=args.seed, observers=observers)
        save(directory, args.out)
    except (DirectoryError, OSError, yaml.YAMLError) as e:
        sys.stderr.write(f"callcenter-directory: {args.groups}: {e}\n")
        return 2
    testers = sum(agent.is_test for agent in directory.agents)
    besides = f", and {testers} test agents" if testers else ""
    sys.stdout.write(f"{args.out}: {len(directory.agents) - testers} agents in {len(sizes)} groups{besides}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
