"""What a CTI tells Prometheus: its agents, its calls and how long signing in takes, text format 0.0.4.

Test agents and their calls are left out: they are there to be tried, not counted.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from callcenter.directory import is_test_group

if TYPE_CHECKING:
    from callcenter.cti.centre import Centre

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

BOUNDS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets, seconds: from one answered ping to an agent who has stood at a door."""

Sample = tuple[Mapping[str, str], float]


class Durations:
    """How long something took, counted since the process started."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self._sum += seconds

    @property
    def total(self) -> float:
        """Seconds in all."""
        return self._sum

    def cumulated(self) -> list[tuple[str, int]]:
        """(upper bound, how many took at most that)."""
        return list(zip([*(f"{bound:g}" for bound in BOUNDS), "+Inf"], accumulate(self._counts), strict=True))


def exposition(centre: "Centre", site: str, system: str) -> str:
    """The body of `/metrics`."""
    lines: list[str] = []
    here = {"site": site, "system": system}

    def metric(name: str, kind: str, text: str, samples: Iterable[Sample]) -> None:
        lines.append(f"# HELP callcenter_{name} {text}")
        lines.append(f"# TYPE callcenter_{name} {kind}")
        lines.extend(_line(f"callcenter_{name}", {**here, **labels}, value) for labels, value in samples)

    groups = sorted(group for group in centre.group_seq if not is_test_group(group))
    metric("agents", "gauge", "Agents by what they do here.", _agents(centre, groups))
    metric(
        "calls_waiting",
        "gauge",
        "Calls in the queue.",
        [({"group": group}, centre.calls.waiting(group)) for group in groups],
    )
    text = "Calls of the queues: answered, abandoned by the caller, or handed back to the other city's queue."
    metric(
        "calls_total",
        "counter",
        text,
        _fates(centre, groups),
    )
    lines.append("# HELP callcenter_sign_in_seconds From an agent's asking for a session until it is real.")
    lines.append("# TYPE callcenter_sign_in_seconds histogram")
    found = centre.sign_ins.cumulated()
    lines.extend(_line("callcenter_sign_in_seconds_bucket", {**here, "le": bound}, count) for bound, count in found)
    lines.append(_line("callcenter_sign_in_seconds_sum", here, centre.sign_ins.total))
    lines.append(_line("callcenter_sign_in_seconds_count", here, found[-1][1]))
    return "\n".join(lines) + "\n"


def _fates(centre: "Centre", groups: Iterable[str]) -> Iterable[Sample]:
    """What became of calls that came into a queue here."""
    for group in groups:
        tally = centre.calls.tally(group)
        found = {
            "answered": tally.answered,
            "abandoned": tally.abandoned,
            "handed_back": tally.refused,  # it came from the other city, whose queue has it again: nobody is here
        }
        for fate, number in found.items():
            yield {"group": group, "fate": fate}, number


def _agents(centre: "Centre", groups: Iterable[str]) -> Iterable[Sample]:
    for group in groups:
        count, states = centre.server.count(group), centre.agents.states(group)
        found = {
            "signed_in": count.signed_in,
            "available": states["available"],
            "ringing": states["ringing"],
            "talking": states["talking"],
            "wrapup": states["wrapup"],
            "on_break": states["break"],
            "at_door": count.waiting,
            "guest": centre.server.guests.count(group),
            "standby": count.standby,
        }
        for state, number in found.items():
            yield {"group": group, "state": state}, number


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {value:.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
