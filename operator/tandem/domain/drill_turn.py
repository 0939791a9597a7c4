"""One Drill's turn in a decision: what it becomes, why it waits, and how its run ends."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from tandem.api.drill import DrillSpec, Outcome
from tandem.constants import DRILL_REPORTS_KEPT
from tandem.domain import keys
from tandem.domain.capacity import Ledger
from tandem.domain.decision import Draft, Premise
from tandem.domain.drill_facts import with_event, with_marks, with_news
from tandem.domain.drill_legs import figures, out_of_place
from tandem.domain.drill_report import calls_of, make_report
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import DrillDue, DrillEventRecord, DrillRecord, DrillRunRecord, Record
from tandem.domain.report_model import DrillReportRecord
from tandem.domain.snapshot import DrillEntry, Instant, PublishedDrill, Snapshot

DEFAULT_LIMIT: Final = 12
"""Runs kept of each kind when nobody says how many any more."""

FORGOTTEN_NAMED: Final = 50
"""Runs that are named after they have left the history: each cluster tidies away their reports."""


@dataclass
class DrillTurn:
    """One Drill's turn."""

    draft: Draft
    ledger: Ledger
    name: str
    published: PublishedDrill | None
    entry: DrillEntry | None
    record: DrillRecord
    now: Instant
    reason: Reason = Reason.WAITING
    writes: dict[str, Record | None] = field(default_factory=dict)
    premises: list[Premise] = field(default_factory=list)

    @property
    def snapshot(self) -> Snapshot:
        return self.draft.snapshot

    @property
    def spec(self) -> DrillSpec | None:
        return self.published.spec if self.published else None

    @property
    def subject(self) -> str:
        return f"Drill {self.name}"

    @property
    def run(self) -> DrillRunRecord:
        """The run under way."""
        assert self.record.run is not None
        return self.record.run

    def known_for(self, since: Literal["waiting_since", "unwatched_since"]) -> float:
        """Seconds for which this engine has known this moment of the run by its own clock, for wall clocks are set.

        0: it is new, or there is none.
        """
        seen, at = self.entry.record.run if self.entry else None, getattr(self.run, since)
        if self.entry is None or seen is None or not at or getattr(seen, since) != at:
            return 0.0
        return self.now.mono - float(getattr(self.entry, since))

    def become(self, reason: Reason | str, message: str, **changes: object) -> None:
        self.reason = Reason(reason)
        self.record = self.record.model_copy(update={"reason": str(reason), "message": message, **changes})

    def note_news(self) -> None:
        """Write down for the report what has happened in the run under way, and what the CTIs say at its turns."""
        run = self.record.run
        if run is None or run.facts is None:
            return
        facts = with_news(run.facts, run, self.snapshot, self.now.wall)
        own = DrillEventRecord(
            at=self.now.wall, subject=self.subject, reason=self.record.reason, message=self.record.message
        )
        facts = with_marks(with_event(facts, own), run, self.snapshot, self.record.phase, self.now.wall)
        if facts != run.facts:
            self.change_run(facts=facts)
            if self.reason is Reason.WAITING and self.record.reason in set(Reason):
                self.reason = Reason(self.record.reason)  # nothing else may have changed in this turn

    def report(self) -> None:
        """Make the reports of runs that are over and have none yet, in the same transaction as what ended them."""
        runs = list(self.record.runs)
        for number, run in enumerate(runs):
            if run.reported or number >= DRILL_REPORTS_KEPT:
                continue
            if run.started_at and run.facts is None:
                continue  # of an older version, which wrote nothing down: better no report than an empty one
            whole = self._whole(run)
            report = make_report(self.name, whole, runs[number + 1 :], self.snapshot, self.now.wall)
            key = keys.drill_report(self.name, run.name)
            self.writes[key] = DrillReportRecord(drill=self.name, run=run.name, report=report)
            runs[number] = run.model_copy(
                update={"reported": True, "facts": None, "before": {}, "cut": report.calls.cut}
            )
        if tuple(runs) != self.record.runs:
            self.record = self.record.model_copy(update={"runs": tuple(runs)})
        kept = {run.name for run in runs[:DRILL_REPORTS_KEPT]}
        for name, entry in self.snapshot.drill_reports.items():
            if entry.record.drill == self.name and entry.record.run not in kept:
                self.writes.setdefault(keys.DRILL_REPORTS + name, None)

    def _whole(self, run: DrillRunRecord) -> DrillRunRecord:
        """A run that is over, with the last of what there is to write down."""
        if run.facts is None:
            return run
        facts = with_news(run.facts, run, self.snapshot, run.finished_at)
        last = DrillEventRecord(
            at=run.finished_at, subject=self.subject, reason=run.reason, message=f"{run.outcome}: {run.message}"
        )
        facts = with_marks(with_event(facts, last), run, self.snapshot, "Waiting", self.now.wall)
        return run.model_copy(update={"facts": facts})

    def change_run(self, **changes: object) -> None:
        self.record = self.record.model_copy(update={"run": self.run.model_copy(update=changes)})

    def wait(self, refusal: Refusal) -> None:
        """Stay, and say why: in the decision's notes, and in the record for everyone to see."""
        self.draft.note(self.subject, refusal.reason, refusal.message)
        if (self.record.reason, self.record.message) != (refusal.reason, refusal.message):
            self.become(refusal.reason, refusal.message)

    def due(self, at: float, until: float, *, by: str = "", request: str = "") -> DrillDue:
        """A run that is due, under a name that no other run of this Drill has."""
        name = stamp = _stamp(at)
        taken = {run.name for run in self.record.runs}
        number = 1
        while name in taken:
            number += 1
            name = f"{stamp}-{number}"
        return DrillDue(name=name, at=at, until=until, by=by, request=request)

    def has_run_at(self, due: float) -> bool:
        """Whether this scheduled time has had its run, of those that are remembered. One that never started is none."""
        runs = (_stamp(run.due.at) for run in self.record.runs if run.started_at and not run.due.by)
        return _stamp(due) in {*runs, *(name[: len(_stamp(due))] for name in self.record.forgotten)}

    def come_back_early(self, outcome: Outcome, reason: Reason, message: str) -> None:
        """Nothing more is rehearsed; whoever is away comes back. What was decided first stands."""
        if self.run.outcome is None:
            self.change_run(outcome=outcome, reason=str(reason), message=message)
            self.become(reason, f"{message}; the agents come back")

    def never_started(self, due: DrillDue, outcome: Outcome, reason: Reason, message: str) -> None:
        """A run that was due and did not start."""
        assert self.spec is not None
        run = DrillRunRecord(
            due=due,
            shift=self.spec.shift,
            finished_at=self.now.wall,
            outcome=outcome,
            reason=str(reason),
            message=message,
        )
        self._file(run)

    def finish(self, outcome: Outcome, reason: Reason | str, message: str) -> None:
        """The run under way is over. One that was to come back early ends as what made it so."""
        run = self.run
        if run.outcome is not None:
            outcome, reason, message = run.outcome, run.reason, f"{run.message}; {message}"
        cut = self._cut(run) if outcome == "Succeeded" else None
        elsewhere = out_of_place(self.snapshot, run.before)
        if elsewhere:
            if outcome == "Succeeded":
                outcome, reason = "Failed", Reason.NOT_RESTORED
            message = f"{message}; not where they were: {elsewhere}. A Shift brings them back"
        if cut:
            if outcome == "Succeeded":
                outcome, reason = "Failed", Reason.CALLS_CUT
            message = f"{cut} calls of its groups were cut during the run, as their CTIs counted them; {message}"
        self._file(ended(run, self.snapshot, outcome, reason, message, self.now))

    def _cut(self, run: DrillRunRecord) -> int | None:
        """Calls of its groups that were cut from the run's start until now; None: that is not known."""
        if run.facts is None:
            return None
        return calls_of(with_marks(run.facts, run, self.snapshot, "Waiting", self.now.wall).marks).cut

    def _file(self, run: DrillRunRecord) -> None:
        """Put a run into the history; what no longer fits goes, with its Shifts."""
        runs, dropped = pruned((run, *self.record.runs), self.spec)
        for old in dropped:
            self.forget_shifts(old)
        last = run.finished_at if run.outcome == "Succeeded" else self.record.last_success_at
        self.become(
            run.reason,
            f"run {run.name} {run.outcome}: {run.message}",
            phase="Waiting",
            due=None,
            run=None,
            runs=runs,
            forgotten=(*(old.name for old in dropped), *self.record.forgotten)[:FORGOTTEN_NAMED],
            last_success_at=last,
        )

    def forget_shifts(self, run: DrillRunRecord) -> None:
        for leg in (run.out, run.back):
            shift = self.snapshot.shifts.get(leg.shift)
            key = keys.shift(leg.shift)
            if shift is not None and shift.finished and key not in self.draft.written:
                self.writes[key] = None
                self.premises.append(self.draft.shift(shift))


def _stamp(at: float) -> str:
    """What a run is named after: its time, UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%d-%H%M%S")


def ended(
    run: DrillRunRecord, snapshot: Snapshot, outcome: Outcome, reason: Reason | str, message: str, now: Instant
) -> DrillRunRecord:
    """A run that is over, with the figures of its Shifts as they are now; its report comes in this turn or the next."""
    return run.model_copy(
        update={
            "alarms": None,
            "unwatched_since": 0.0,
            "finished_at": now.wall,
            "outcome": outcome,
            "reason": str(reason),
            "message": message,
            "out": figures(snapshot, run.out),
            "back": figures(snapshot, run.back),
        }
    )


def pruned(
    runs: tuple[DrillRunRecord, ...], spec: DrillSpec | None
) -> tuple[tuple[DrillRunRecord, ...], tuple[DrillRunRecord, ...]]:
    """Runs to keep, newest first, and those to forget. `runs`: newest first."""
    room = {
        True: spec.succeeded_runs_history_limit if spec else DEFAULT_LIMIT,
        False: spec.other_runs_history_limit if spec else DEFAULT_LIMIT,
    }
    kept: list[DrillRunRecord] = []
    dropped: list[DrillRunRecord] = []
    for run in runs:
        good = run.outcome == "Succeeded"
        room[good] -= 1
        (kept if room[good] >= 0 else dropped).append(run)
    return tuple(kept), tuple(dropped)
