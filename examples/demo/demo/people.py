"""Who the agents are: the directory of the quickstart's groups."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from callcenter.directory import Directory, generate, save
from callcenter.directory_cli import read_groups, read_observers
from demo.quickstart import Group, Quickstart, documents

SEED = "demo"
"""What the made-up passwords are derived from."""


@dataclass(frozen=True)
class People:
    """The agents of a quickstart."""

    file: Path
    """The directory, as agents read it."""
    packed: Path
    """The same gzipped, as the ConfigMap holds it."""
    accounts_of: Mapping[str, frozenset[str]]
    """Group -> accounts."""
    account_of: Mapping[str, str]
    """Extension (of any city) or account -> account."""

    def accounts(self, groups: Iterable[Group]) -> frozenset[str]:
        """The accounts of these groups."""
        return frozenset(account for group in groups for account in self.accounts_of[group.name])


def make(quickstart: Quickstart, folder: Path) -> People:
    """Write the directory of a quickstart's `groups.yaml` into `folder`."""
    document = next(documents(quickstart.folder / "groups.yaml"))
    sizes, cities, realm = read_groups(document)
    directory = generate(sizes, cities=cities, realm=realm, seed=SEED, observers=read_observers(document))
    file, packed = folder / "directory.json", folder / "directory.json.gz"
    save(directory, file)
    save(directory, packed)
    return of(directory, file, packed)


def of(directory: Directory, file: Path, packed: Path) -> People:
    """The tables that the measures need."""
    accounts_of: dict[str, set[str]] = defaultdict(set)
    account_of: dict[str, str] = {}
    for agent in directory.agents:
        accounts_of[agent.group].add(agent.account)
        account_of[agent.account] = agent.account
        account_of.update(dict.fromkeys(agent.extensions.values(), agent.account))
    return People(
        file=file,
        packed=packed,
        accounts_of={group: frozenset(accounts) for group, accounts in accounts_of.items()},
        account_of=account_of,
    )
