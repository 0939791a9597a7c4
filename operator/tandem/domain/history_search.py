"""Which entries of the decision log somebody asked for, how they are shown as data, and which have had their time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tandem.constants import HISTORY_AGE_S, HISTORY_KEPT, HISTORY_LEAST
from tandem.domain.records import HistoryEntry, HistoryRecord, Who
from tandem.errors import ConfigError

NO_LIMIT: Final = 0

Json = dict[str, Any]


@dataclass(frozen=True)
class Search:
    """What is looked for; what is empty does not matter. Names may leave the namespace out."""

    since: float = 0.0
    """Seconds since the epoch."""
    site: str = ""
    group: str = ""
    shift: str = ""
    drill: str = ""
    kind: str = ""
    name: str = ""
    action: str = ""
    by: str = ""
    limit: int = NO_LIMIT
    """The newest so many."""


_WORDS: Final = ("site", "group", "shift", "drill", "kind", "name", "action", "by")


def search_of(query: Mapping[str, str]) -> Search:
    """A query string's parameters. Raises: ConfigError naming the parameter, its value and what it may be."""
    unknown = sorted(set(query) - {*_WORDS, "since", "limit"})
    if unknown:
        known = ", ".join((*_WORDS, "since", "limit"))
        raise ConfigError(f"{unknown[0]!r} is no parameter of the history; there are {known}")
    try:
        since = float(query.get("since", "0"))
    except ValueError as error:
        raise ConfigError(f"since is {query['since']!r}; write seconds since the epoch") from error
    limit = query.get("limit", "0")
    if not limit.isascii() or not limit.isdigit():
        raise ConfigError(f"limit is {limit!r}; write how many entries at most, 0 for all")
    return Search(since=since, limit=int(limit), **{word: query.get(word, "") for word in _WORDS})


def matches(entry: HistoryEntry, search: Search) -> bool:
    """Whether an entry is looked for, its time apart. A hold concerns every site and every group."""
    hold = entry.kind == "Hold"
    return (
        (not search.site or hold or search.site in entry.sites or _is(entry, "Site", search.site))
        and (not search.group or hold or any(_named(group, search.group) for group in (*entry.groups, *entry.placed)))
        and (not search.shift or _is(entry, "Shift", search.shift) or _named(entry.shift, search.shift))
        and (not search.drill or _is(entry, "Drill", search.drill) or _of_drill(entry, search.drill))
        and (not search.kind or entry.kind.casefold() == search.kind.casefold())
        and (not search.name or _named(entry.name, search.name))
        and (not search.action or entry.action.casefold() == search.action.casefold())
        and (not search.by or search.by.casefold() in shown(entry.who).casefold())
    )


def _is(entry: HistoryEntry, kind: str, name: str) -> bool:
    return entry.kind == kind and _named(entry.name, name)


def _named(full: str, wanted: str) -> bool:
    """Whether `namespace/name` is the wanted one, with or without namespace."""
    return full == wanted or (bool(full) and full.rpartition("/")[2] == wanted)


def _of_drill(entry: HistoryEntry, drill: str) -> bool:
    """Whether an entry is about a Shift that this Drill has made: `<drill>-<time>-out` or `-back`."""
    shift = entry.name if entry.kind == "Shift" else entry.shift
    short = drill.rpartition("/")[2]
    namespace = drill.rpartition("/")[0]
    made = entry.who.kind == "Drill" and entry.who.name.startswith(f"{short}-2")
    return made and (not namespace or shift.partition("/")[0] == namespace)


def shown(who: Who) -> str:
    """Who stands behind an entry, in one word for people."""
    if who.kind == "Person":
        return who.name or "a person"
    if who.kind == "Order":
        return f"order {who.name[:8]}".strip()
    if who.kind == "Schedule":
        return "schedule"
    return f"Drill {who.name}" if who.kind == "Drill" else who.name


def as_data(entry: HistoryEntry, record: HistoryRecord, revision: int) -> Json:
    """One entry with what its transaction says of it, as JSON. `revision`: the store's, at which it became true."""
    moment = datetime.fromtimestamp(record.at, UTC)
    return {
        "revision": revision,
        "at": moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z",
        "writtenBy": {"site": record.site, "engine": record.engine, "epoch": record.epoch},
        "who": {"kind": entry.who.kind, "name": entry.who.name, "shown": shown(entry.who)},
        "kind": entry.kind,
        "name": entry.name,
        "action": entry.action,
        "reason": entry.reason,
        "why": entry.why,
        "sites": list(entry.sites),
        "groups": [*entry.placed, *entry.groups],
        "placed": list(entry.placed),
        "agents": entry.agents,
        "buckets": entry.buckets,
        "shift": entry.shift,
    }


def spent(count: int, oldest: Sequence[float | None], now: float) -> int:
    """How many of the oldest transactions may be forgotten.

    The newest HISTORY_LEAST stay however old they are: a clock that is years ahead must not empty the log.

    Args:
        count: Transactions that there are.
        oldest: When the first of them were written, in their order; None: that cannot be read.
        now: Seconds since the epoch.
    """
    too_many = max(count - HISTORY_KEPT, 0)
    may_age = max(count - HISTORY_LEAST, 0)
    old = 0
    for at in oldest[:may_age]:
        if at is None or now - at <= HISTORY_AGE_S:
            break
        old += 1
    return min(max(too_many, old), len(oldest))
