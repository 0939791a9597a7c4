"""The report of a Drill's run in a few lines, for a terminal."""

from collections.abc import Iterable

from tandem.domain.published import SHARES, share_text
from tandem.domain.report_model import DrillReport, Way
from tandem.domain.report_words import NEVER, automatic, count, failover_phases, kept_silent, moment, seconds, why


def text(report: DrillReport) -> str:
    """The figures; the page and the data have everything."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: DrillReport) -> Iterable[str]:
    yield f"Drill {report.drill}, run {report.run}: {report.outcome} ({report.reason})"
    yield f"  {report.message}"
    yield f"  started {report.trigger}, due {moment(report.scheduled_at)} UTC"
    if report.started_at is not None:
        yield f"  from {moment(report.started_at)} to {moment(report.finished_at)} UTC, {seconds(report.seconds)}"
    if report.failover is not None and report.failover.silenced_at is not None:
        lost = report.failover
        yield f"  {lost.site} counted as lost: {', '.join(failover_phases(lost))}"
        yield f"  {kept_silent(lost)} heard nothing of {lost.site}"
        if lost.failed_over is not None:
            yield f"    {automatic(lost.failed_over)}"
    for way in (report.out, report.back):
        if way.committed_at is not None:
            yield from _way(way)
    if report.started_at is not None:
        calls = report.calls
        yield (
            f"  calls: {count(calls.answered)} answered, {count(calls.cut)} cut, {count(calls.abandoned)} given up in "
            f"the queue, {count(calls.refused)} refused"
        )
        for one in calls.there:
            yield (
                f"    at {one.site}, {seconds(one.seconds)} from the last arrival to the way back: "
                f"{count(one.answered)} answered, {count(one.cut)} cut"
            )
    yield f"  {report.restored_text}"
    known = report.published
    published = ", ".join(f"{share_text(share)} % in {seconds(known.time_to[share_text(share)])}" for share in SHARES)
    yield f"  published, to compare: {published}; later all in {seconds(known.all_later)} ({known.source})"
    for sentence in report.not_measured:
        yield f"  not known: {sentence}"


def _way(way: Way) -> Iterable[str]:
    name = "out" if way.way == "Out" else "back"
    yield f"  {name}: {way.arrived} of {way.planned} arrived, {way.staying} stay, {way.missing} missing"
    if way.gaps is not None:
        gaps = way.gaps
        yield f"    own gaps p50 {seconds(gaps.p50)}, p95 {seconds(gaps.p95)}, longest {seconds(gaps.max)}"
    never = NEVER if way.arrival_bins else "not measured"
    shares = (f"{share_text(share)} % {seconds(way.time_to.get(share_text(share)), never)}" for share in SHARES)
    yield f"    from the first commit: {', '.join(shares)}"
    for word, agents in sorted(way.waited_for.items(), key=lambda one: -one[1]):
        yield f"    {agents} {why(word)}"
    for one in way.latest[:3]:
        yield f"    late: {one.account} after {seconds(one.after_commit)}: {one.explanation}"
