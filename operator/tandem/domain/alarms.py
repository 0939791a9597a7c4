"""Alarms: what each location was told by the Prometheus that it asked, and what that is worth.

    answer -> follow() -> word, published when its state changes, on the engine's lease      (at each location)
    words of all locations -> judge() -> Quiet, Pending, Firing or Unknown                   (at the coordinator)

An alarm fires when any location sees it fire, and is quiet when any location says so and none sees it true. A location
that gets no answer says Unknown, which counts for nothing; where nobody gets one nothing starts.

Words name what they were asked for (`Watch.purpose`): an answer from before a run was due says nothing of it, and an
alarm that has fired during a run has fired, whoever is coordinator when that is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Final

from tandem.api.alarms import Alarm, Prometheus
from tandem.api.drill import UNDER_WAY, AlarmState
from tandem.domain import keys
from tandem.domain.digest import alarms_digest
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import AlarmsRecord, AlarmWord, DrillRecord, FiredAlarmRecord, ShiftRecord
from tandem.domain.snapshot import PublishedDrill, Snapshot

_WAITS: Final = frozenset({"Preparing", "Moving"})
"""Phases of a Shift in which a wave may begin at any moment."""
_MAY_MOVE: Final = _WAITS | {"Pending", "Planned", "AwaitingApproval"}

_SHOWN: Final = 200
"""Characters of a query that a sentence quotes."""


# -- what is asked


@dataclass(frozen=True)
class Watch:
    """All that is asked for one object."""

    owner: str
    """`drills/namespace/name` or `shifts/namespace/name`."""
    purpose: str
    """What the answers are for: the run that is due, or under way; the wave that is next; "" when nobody waits."""
    prometheus: Prometheus
    alarms: Sequence[Alarm]
    digest: str
    latches: bool = False
    """Whether an alarm that has fired for this purpose fires for good."""

    @property
    def namespace(self) -> str:
        """Where the token's Secret is."""
        return self.owner.split("/")[1]


def watches_of(snapshot: Snapshot) -> dict[str, Watch]:
    """Everything that every location asks, by owner."""
    found: dict[str, Watch] = {}
    for name in sorted({*snapshot.drill_specs, *snapshot.drills}):
        entry = snapshot.drills.get(name)
        watch = watch_of_drill(name, snapshot.drill_specs.get(name), entry.record if entry else None)
        if watch is not None:
            found[watch.owner] = watch
    for shift in snapshot.unfinished_shifts():
        watch = watch_of_shift(shift.name, shift.record)
        if watch is not None:
            found[watch.owner] = watch
    return found


def watch_of_drill(name: str, published: PublishedDrill | None, record: DrillRecord | None) -> Watch | None:
    """What is asked for a Drill; None: nothing. A run under way goes on with the alarms it was started with."""
    alarms = published.spec.alarms if published is not None and published.spec is not None else None
    purpose, latches = "", False
    if record is not None and record.phase in UNDER_WAY and record.run is not None:
        alarms, purpose, latches = record.run.alarms, record.run.name, True
    elif record is not None and record.due is not None:
        purpose = f"before {record.due.name}"  # what fired then has not fired during the run
    if alarms is None:
        return None
    return Watch(f"{keys.DRILL}/{name}", purpose, alarms.prometheus, alarms.all, alarms_digest(alarms), latches)


def watch_of_shift(name: str, record: ShiftRecord) -> Watch | None:
    """What is asked for a Shift; None: nothing. No wave follows the last one, and none of the way back is kept waiting.

    What was said before a wave had begun says nothing of what that wave does.
    """
    alarms = record.spec.gates.alarms
    waves = record.waves if record.plan else 1
    if alarms is None or record.phase not in _MAY_MOVE or record.wave >= waves:
        return None
    purpose = f"before wave {record.wave + 1}" if record.phase in _WAITS else ""
    return Watch(f"{keys.SHIFT}/{name}", purpose, alarms.prometheus, alarms.quiet, alarms_digest(alarms))


def token_path(namespace: str, prometheus: Prometheus) -> PurePosixPath | None:
    """Where, below the folder of credentials, the operator puts the server's token for the engine; None: there is none.

    The server is part of it: a token goes only to the server that its Secret names.
    """
    secret = prometheus.credentials
    if secret is None:
        return None
    server = sha256(prometheus.url.encode()).hexdigest()[:16]
    return PurePosixPath("alarms") / namespace / server / secret.name / secret.key


# -- one location's word


@dataclass(frozen=True, slots=True)
class AlarmAnswer:
    """What a server answered."""

    fires: bool
    value: str = ""
    """The first series and its value, for people."""


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """A word, and what is remembered for the next one."""

    word: AlarmWord
    true_since: float | None = None
    """Monotonic time since when no answer was "quiet"; None: the last one was, or there was none."""


def follow(before: AlarmRow | None, answer: AlarmAnswer | str, for_s: float, now: float, mono: float) -> AlarmRow:
    """The row after one more answer.

    A question that was not answered breaks no `for`: else an alarm behind a server that fails now and then never fires.

    Args:
        answer: What was answered; text: why nothing was.
        for_s: Seconds for which it must be true before it fires.
        now, mono: This location's clocks, when the answer came.
    """
    last = before.word if before else None
    fired_at, fired_value = (last.fired_at, last.fired_value) if last else (0.0, "")
    true_since = before.true_since if before else None
    state: AlarmState
    value = detail = ""
    if isinstance(answer, str):
        state, detail = "Unknown", answer
    elif not answer.fires:
        state, true_since = "Quiet", None
    else:
        true_since = mono if true_since is None else true_since
        state, value = ("Firing" if mono - true_since >= for_s else "Pending"), answer.value
    if state == "Firing" and not fired_at:
        fired_at, fired_value = now, value
    if last is not None and last.state == state and (state != "Unknown" or last.detail == detail):
        # Only a change is news: values go up and down all the time.
        word = last.model_copy(update={"fired_at": fired_at, "fired_value": fired_value})
    else:
        word = AlarmWord(state=state, since=now, value=value, detail=detail, fired_at=fired_at, fired_value=fired_value)
    return AlarmRow(word, true_since)


def renewed(row: AlarmRow) -> AlarmRow:
    """What is remembered when answers are wanted for something new: since when it is true, and nothing else."""
    return AlarmRow(row.word.model_copy(update={"fired_at": 0.0, "fired_value": ""}), row.true_since)


# -- what the words are worth


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the locations together say of one alarm."""

    alarm: Alarm
    state: AlarmState
    sentence: str
    site: str = ""
    """Who says so, where one location's word is enough."""
    value: str = ""
    at: float = 0.0
    """When it fired, by that location's clock."""

    @property
    def fired(self) -> FiredAlarmRecord:
        """For the record. Only of one that fires."""
        return FiredAlarmRecord(
            name=self.alarm.name, query=self.alarm.query, value=self.value, at=self.at, site=self.site
        )


def judge(snapshot: Snapshot, watch: Watch, alarm: Alarm) -> Judgement:
    """What is to be thought of an alarm."""
    said = sorted(_words(snapshot, watch, alarm).items())
    fired = sorted(
        (word.fired_at, site, word.fired_value) if watch.latches else (word.since, site, word.value)
        for site, word in said
        if word.state == "Firing" or (watch.latches and word.fired_at)
    )
    if fired:
        at, site, value = fired[0]
        sentence = f"alarm {alarm.name} fires: {_quoted(alarm)} is {value}, since {utc(at)} as {site} sees it"
        return Judgement(alarm, "Firing", sentence, site, value, at)
    for site, word in said:
        if word.state == "Pending":
            sentence = (
                f"alarm {alarm.name} is true: {_quoted(alarm)} is {word.value}, since {utc(word.since)} as {site} "
                f"sees it; it fires after {alarm.for_}"
            )
            return Judgement(alarm, "Pending", sentence, site, word.value)
    quiet = [site for site, word in said if word.state == "Quiet"]
    if quiet:
        return Judgement(alarm, "Quiet", f"alarm {alarm.name} is quiet, as {' and '.join(quiet)} see it")
    errors = "; ".join(f"{site}: {word.detail}" for site, word in said) or "no location has asked it yet"
    return Judgement(alarm, "Unknown", f"alarm {alarm.name} cannot be asked by any location ({errors})")


def judgements(snapshot: Snapshot, watch: Watch, alarms: Sequence[Alarm] | None = None) -> tuple[Judgement, ...]:
    """The same of several alarms, all of the watch's by default."""
    return tuple(judge(snapshot, watch, alarm) for alarm in (watch.alarms if alarms is None else alarms))


def firing(snapshot: Snapshot, watch: Watch, alarms: Sequence[Alarm] | None = None) -> tuple[Judgement, ...]:
    """Those that fire, or have fired for this purpose."""
    return tuple(found for found in judgements(snapshot, watch, alarms) if found.state == "Firing")


def unknown(snapshot: Snapshot, watch: Watch, alarms: Sequence[Alarm] | None = None) -> tuple[Judgement, ...]:
    """Those about which no location gets an answer."""
    return tuple(found for found in judgements(snapshot, watch, alarms) if found.state == "Unknown")


_REASONS: Final[Mapping[AlarmState, Reason]] = {
    "Firing": Reason.ALARM_FIRING,
    "Pending": Reason.ALARM_PENDING,
    "Unknown": Reason.ALARM_UNKNOWN,
}


def alarms_refusal(snapshot: Snapshot, watch: Watch) -> Refusal | None:
    """Why nothing may start now: an alarm fires, is about to, or cannot be asked. None: all of them are quiet."""
    found = judgements(snapshot, watch)
    for state, reason in _REASONS.items():
        for one in found:
            if one.state == state:
                return Refusal(reason, one.sentence, temporary=True)
    return None


def alarms_evidence(snapshot: Snapshot, watch: Watch) -> tuple[tuple[str, int], ...]:
    """What every location has said, with mod revisions (0: nothing): premises of what starts because they are quiet."""
    words = snapshot.alarms.get(watch.owner, {})
    return tuple(
        (keys.alarms(site, watch.owner), words[site].mod_revision if site in words else 0)
        for site in sorted({*snapshot.sites, *words})
    )


def utc(at: float) -> str:
    """A moment for people: date and time of day, UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _words(snapshot: Snapshot, watch: Watch, alarm: Alarm) -> dict[str, AlarmWord]:
    """What locations say of this alarm for this purpose; whatever was said for another one is left out."""
    return {
        site: entry.record.alarms[alarm.name]
        for site, entry in snapshot.alarms.get(watch.owner, {}).items()
        if _is_about(entry.record, watch) and alarm.name in entry.record.alarms
    }


def _is_about(record: AlarmsRecord, watch: Watch) -> bool:
    return (record.purpose, record.digest) == (watch.purpose, watch.digest)


def _quoted(alarm: Alarm) -> str:
    query = " ".join(alarm.query.split())
    return query if len(query) <= _SHOWN else f"{query[:_SHOWN]}..."
