"""The report of a Drill's run as one page: nothing to load, readable on a screen and on paper (A4, black on white)."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from tandem.domain import report_svg as svg
from tandem.domain.published import SHARES, share_text
from tandem.domain.report_model import Arrival, CallsOfGroups, DrillReport, Location, Way
from tandem.domain.report_words import (
    MOMENTS,
    NEVER,
    UNKNOWN,
    automatic,
    count,
    failover_phases,
    kept_silent,
    moment,
    seconds,
    why,
)

NAMED_ON_PAPER: Final = 10
"""Agents of each list; the JSON names more."""

STYLE: Final = """
@page { size: A4; margin: 16mm 15mm 18mm; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 50rem; padding: 1.5rem 1.25rem 3rem; color: #111; background: #fff;
       font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .2rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; padding-top: .3rem; border-top: 2px solid #111; break-after: avoid; }
h3 { font-size: .95rem; margin: 1.2rem 0 .3rem; break-after: avoid; }
p { margin: .4rem 0; } .note { color: #444; font-size: .87rem; }
.outcome { display: inline-block; border: 2px solid #111; padding: .1rem .7rem; font-weight: 700; margin: .5rem 0; }
.outcome.good::before { content: "\\2713\\00a0"; } .outcome.bad::before { content: "\\2717\\00a0"; }
.figures { display: grid; grid-template-columns: repeat(4, 1fr); gap: .6rem; margin: 1rem 1px; padding: 0;
  list-style: none; }
.figures li { border: 1px solid #888; padding: .45rem .6rem; break-inside: avoid; font-size: .82rem; line-height: 1.3; }
.figures b { display: block; font-size: 1.3rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; font-variant-numeric: tabular-nums; }
thead { display: table-header-group; } tr { break-inside: avoid; }
th, td { padding: .22rem .5rem; border-bottom: 1px solid #bbb; text-align: left; vertical-align: top; }
th { font-weight: 600; border-bottom: 1px solid #111; } td.n, th.n { text-align: right; } td.n { white-space: nowrap; }
td { overflow-wrap: break-word; } td:first-child { min-width: 5.5rem; }
tr.other td { font-style: italic; } table.facts th { width: 11rem; border-bottom: 1px solid #bbb; }
figure { margin: .6rem 0; break-inside: avoid; } svg { width: 100%; height: auto; display: block; }
figcaption { font-size: .82rem; color: #444; } ul { padding-left: 1.2rem; margin: .3rem 0; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .92em; }
footer { margin-top: 2rem; padding-top: .4rem; border-top: 1px solid #111; font-size: .82rem; color: #444; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } h2 { margin-top: 1.2rem; }
  a { color: inherit; text-decoration: none; } .note, figcaption, footer { color: #222; } }
@media (max-width: 40rem) { .figures { grid-template-columns: repeat(2, 1fr); } .wide { overflow-x: auto; } }
"""


def html(report: DrillReport) -> str:
    """The whole page."""
    sections = [
        _head(report), _figures(report), _facts(report), _switching(report), _phases(report), _slow(report),
        _calls(report), _maps(report), _checks(report), _events(report), _in_force(report), _trend(report),
        _limits(report),
    ]  # fmt: skip
    title = escape(f"Drill {report.drill}, run {report.run}: {report.outcome}")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
{"".join(sections)}<footer>Written by Tandem at {moment(report.written_at)} UTC and not changed since; the same as data:
<code>kubectl tandem drill report</code>, schema <code>{escape(report.schema_)}</code>.
All times of day are UTC.</footer>
</body>
</html>
"""


# -- small parts


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: frozenset[int] = frozenset()) -> str:
    """A table; cells are escaped here. `numbers`: columns to the right."""

    def cells(row: Sequence[str], tag: str) -> str:
        kind = [' class="n"' if column in numbers else "" for column in range(len(row))]
        return "".join(f"<{tag}{kind[n]}>{escape(cell)}</{tag}>" for n, cell in enumerate(row))

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells(head, "th")}</tr></thead><tbody>{body}</tbody></table></div>\n'


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>\n"


def _numbers(*columns: int) -> frozenset[int]:
    return frozenset(columns)


def _ways(report: DrillReport) -> list[Way]:
    """Those that took place."""
    return [way for way in (report.out, report.back) if way.committed_at is not None]


def _name(way: Way) -> str:
    return f"{'Out' if way.way == 'Out' else 'Back'} to {' and '.join(way.sites)}" if way.sites else way.way


# -- sections


def _head(report: DrillReport) -> str:
    good = "good" if report.outcome == "Succeeded" else "bad"
    when = f"started {moment(report.started_at)} UTC" if report.started_at else "never started"
    return (
        f"<header><h1>Drill {escape(report.drill)}</h1>"
        f"<p>Run {escape(report.run)}, {when}</p>"
        f'<p class="outcome {good}">{escape(report.outcome)}</p>'
        f"<p>{escape(report.message)} <span class='note'>({escape(report.reason)})</span></p></header>\n"
    )


def _figures(report: DrillReport) -> str:
    if report.started_at is None:
        return ""
    out, back, calls = report.out, report.back, report.calls
    restored = {True: "yes", False: "no", None: "-"}[report.restored]
    longest = [way.gaps.p95 for way in (out, back) if way.gaps is not None]
    figures = [
        (_share(out), "agents arrived on the way out"),
        (_share(back), "agents arrived on the way back"),
        (seconds(max(longest, default=None)), "without service at most, for 95 of 100 agents"),
        (seconds(out.time_to.get("100"), _never(out)), "until all planned agents were there (out)"),
        (count(calls.cut), f"calls cut, of {count(calls.answered)} answered during the run"),
        (count(_lost(report)), "callers given up on or refused in the queue"),
        (restored, "every bucket back where it was"),
        (seconds(report.seconds), "from start to end, hold included"),
    ]
    items = "".join(f"<li><b>{escape(value)}</b>{escape(text)}</li>" for value, text in figures)
    return f'<ul class="figures">{items}</ul>\n'


def _share(way: Way) -> str:
    return f"{way.arrived:,} of {way.planned:,}" if way.committed_at is not None else "none went"


def _lost(report: DrillReport) -> int | None:
    """Calls that nobody answered."""
    calls = report.calls
    return None if calls.abandoned is None or calls.refused is None else calls.abandoned + calls.refused


def _facts(report: DrillReport) -> str:
    what = report.rehearsed
    selector = ", ".join(f"{name}: {_plain(value)}" for name, value in sorted(what.selector.items()))
    pace = f"{what.pace} agents a second and group" if what.pace else "what the CTIs take in"
    groups = ", ".join(report.groups[:12]) + (f" and {len(report.groups) - 12} more" if len(report.groups) > 12 else "")
    rows = [
        ("Started", f"{report.trigger}, due {moment(report.scheduled_at)}"),
        ("From, until", f"{moment(report.started_at, 'never started')}, {moment(report.finished_at)}"),
        ("Rehearsed", f"{what.percent} % of the agents of {selector} to {what.to} and back; {_hold(report)}"),
        ("Waves, pace", f"{', '.join(f'{wave} %' for wave in what.waves)}; {pace}"),
        ("Groups", f"{len(report.groups)}: {groups}" if report.groups else "none: it did not start"),
        ("Decided by", report.coordinator or "-"),
    ]
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f'<h2>Who, what, when</h2><table class="facts"><tbody>{body}</tbody></table>\n'


def _plain(value: object) -> str:
    if isinstance(value, list):
        shown = [str(one) for one in value[:6]]
        return ", ".join(shown) + (f" and {len(value) - 6} more" if len(value) > 6 else "")
    if isinstance(value, dict):
        return ", ".join(f"{name}={one}" for name, one in value.items())
    return str(value)


def _hold(report: DrillReport) -> str:
    hold = report.rehearsed.hold_seconds
    return f"{seconds(hold)} of work there" if report.started_at else "it did not come to that"


def _switching(report: DrillReport) -> str:
    ways = _ways(report)
    if not ways:
        return "<h2>How the agents switched</h2><p>Nobody was moved, so there is nothing to show.</p>\n"
    head = ("", "planned", "arrived", "p50", "p95", "longest", *(f"{share_text(share)} %" for share in SHARES))
    rows = []
    for way in ways:
        gaps = way.gaps
        own = [seconds(value, "-") for value in ((gaps.p50, gaps.p95, gaps.max) if gaps else (None, None, None))]
        there = [seconds(way.time_to.get(share_text(share)), _never(way, "-")) for share in SHARES]
        rows.append((_name(way), f"{way.planned:,}", f"{way.arrived:,}", *own, *there))
    known = report.published
    figures = [seconds(known.time_to[share_text(share)]) for share in SHARES]
    rows.append(("Published, 2016", "1,000+", "-", "-", "-", "-", *figures))
    rows.append(("Published later", "1,000+", "-", "-", "-", "-", "-", "-", seconds(known.all_later)))
    parts = [
        "<h2>How the agents switched</h2>",
        _table(head, rows, _numbers(*range(1, 9))),
        "<p class='note'>p50, p95, longest: an agent's own time without service, from the end of the session here to "
        "the first answered ping there. 63.5, 93.1, 100 %: from the first commit until that share of the planned "
        "agents had arrived; agents in a call finish it and their wrap-up first, which the move waits for. Published: "
        f"{escape(known.source)} ({escape(known.caution)}).</p>",
    ]
    parts += [_missing(way) for way in ways]
    curves = [(_name(way), way.arrival_bins, max(way.planned, 1)) for way in ways if way.arrival_bins]
    if curves:
        picture = svg.arrivals(curves, SHARES, known.time_to, known.all_later)
        parts.append(f"<figure>{picture}<figcaption>Who had arrived by when.</figcaption></figure>")
    for way in ways:
        if way.gap_bins and way.gaps:
            marks = [("p50", way.gaps.p50), ("p95", way.gaps.p95)]
            title = f"{_name(way)}: how long agents were without service"
            picture = svg.gap_histogram(way.gap_bins, marks, title)
            parts.append(f"<figure>{picture}<figcaption>{escape(title)}.</figcaption></figure>")
        else:
            parts.append(f"<p>{escape(_name(way))}: no distribution, for no CTI told of single agents.</p>")
    return "".join(parts) + "\n"


def _never(way: Way, unknown: str = UNKNOWN) -> str:
    """What to write for a share that has no time: it was not reached, or nobody measured it."""
    return NEVER if way.arrival_bins else unknown


def _missing(way: Way) -> str:
    """Agents who did not arrive, in words."""
    said = []
    if way.returned:
        said.append(f"{way.returned} came back when it was aborted")
    if way.staying:
        names = ", ".join(way.staying_accounts[:10])
        said.append(f"{way.staying} stayed for a call beyond the deadline" + (f" ({names})" if names else ""))
    if way.missing:
        said.append(f"{way.missing} are missing: they signed out, or were not signed in")
    return f"<p>{escape(_name(way))}: {escape('; '.join(said))}.</p>" if said else ""


def _phases(report: DrillReport) -> str:
    if not report.phases:
        return ""
    bar = svg.phases([(phase.name, phase.seconds) for phase in report.phases])
    words = {"Out": "on the way out", "Holding": "at work there", "Back": "on the way back"}
    parts = [
        f"<h2>Phases and waves</h2><figure>{bar}</figure>",
        _table(
            ("phase", "from", "took"),
            [(words[phase.name], moment(phase.started_at), seconds(phase.seconds)) for phase in report.phases],
            _numbers(2),
        ),
    ]
    if report.failover is not None and report.failover.silenced_at is not None:
        lost = report.failover
        heard = f"{kept_silent(lost)} heard nothing of {lost.site} from {moment(lost.silenced_at)} on"
        parts.append(f"<p>{escape(heard)}; after that: {escape(', '.join(failover_phases(lost)))}.</p>")
        if lost.failed_over is not None:
            parts.append(f"<p>{escape(automatic(lost.failed_over).capitalize())}.</p>")
    for way in _ways(report):
        parts.append(
            f"<h3>{escape(_name(way))}: Shift {escape(way.shift.rpartition('/')[2])}, {escape(way.phase)}</h3>"
        )
        rows = [
            (f"{wave.number}", f"{wave.agents:,}", moment(wave.started_at), seconds(wave.after_commit, "-"),
             seconds(wave.took, "-"), wave.expected)
            for wave in way.waves
        ]  # fmt: skip
        parts.append(
            _table(("wave", "agents", "started", "after commit", "took", "foreseen"), rows, _numbers(1, 3, 4, 5))
        )
        if way.gates:
            parts.append(f"<p class='note'>Before the first wave and each next: {escape('; '.join(way.gates))}.</p>")
        said = [*way.promises, *(f"not promised: {limit}" for limit in way.limits)]
        if said:
            parts.append(f"<p class='note'>What its CTIs promised: {escape('; '.join(said))}.</p>")
    return "".join(parts)


def _slow(report: DrillReport) -> str:
    ways = [way for way in _ways(report) if way.slowest or way.waited_for]
    if not ways:
        return ""
    parts = ["<h2>The slowest agents, and why</h2>"]
    for way in ways:
        parts.append(f"<h3>{escape(_name(way))}</h3>")
        rows = [(why(word), f"{agents:,}") for word, agents in sorted(way.waited_for.items(), key=lambda one: -one[1])]
        parts.append(_table(("most of the way, the agent", "agents"), rows, _numbers(1)))
        parts.append("<h3>Longest without service</h3>")
        parts.append(_arrivals(way.slowest, gap_first=True))
        parts.append("<h3>Last to arrive</h3>")
        parts.append(_arrivals(way.latest, gap_first=False))
    return "".join(parts)


def _arrivals(found: Sequence[Arrival], *, gap_first: bool) -> str:
    rows = []
    for one in found[:NAMED_ON_PAPER]:
        times = [seconds(one.gap), seconds(one.after_commit)]
        rows.append(
            (one.account, one.group.rpartition("/")[2], *(times if gap_first else times[::-1]), one.explanation)
        )
    head = ["without service", "after commit"]
    columns = ("agent", "group", *(head if gap_first else head[::-1]), "why")
    return _table(columns, rows, _numbers(2, 3))


def _calls(report: DrillReport) -> str:
    calls = report.calls
    if report.started_at is None:
        return ""
    rows = [
        ("answered", count(calls.answered)),
        ("ended by caller or agent", count(calls.hung_up)),
        ("cut: ended by neither", count(calls.cut)),
        ("over, and how was not heard", count(calls.unheard)),
        ("caller gave up in the queue", count(calls.abandoned)),
        ("refused: nobody to be found", count(calls.refused)),
    ]
    moments = [
        (words, count(calls.in_progress.get(name)), count(calls.waiting.get(name))) for name, words in MOMENTS.items()
    ]
    return (
        "<h2>Calls of these groups</h2>"
        + _table(("", "in progress", "waiting"), moments, _numbers(1, 2))
        + "<h3>During the run</h3>"
        + _table(("calls", ""), rows, _numbers(1))
        + _calls_there(calls)
        + _list([f"Measured: {text}" for text in calls.measured] + [f"Not measured: {x}" for x in calls.not_measured])
    )


def _calls_there(calls: CallsOfGroups) -> str:
    if not calls.there:
        return ""
    rows = [(one.site, seconds(one.seconds), count(one.answered), count(one.cut)) for one in calls.there]
    return "<h3>At the other site, while they were to work there</h3>" + _table(
        ("site", "for", "answered", "cut"), rows, _numbers(1, 2, 3)
    )


def _ranges(places: dict[str, str] | None) -> str:
    return "; ".join(f"{site}: {ranges}" for site, ranges in places.items()) if places is not None else "gone"


def _maps(report: DrillReport) -> str:
    if not report.maps:
        return ""
    same: dict[tuple[str, str, str], list[str]] = {}
    for one in report.maps:
        same.setdefault((_ranges(one.before), _ranges(one.after), one.verdict), []).append(one.group)
    words = {"Equal": "equal", "OnTheWay": "on its way there", "Different": "DIFFERENT", "Gone": "placement gone"}
    rows = [(", ".join(groups), before, after, words[verdict]) for (before, after, verdict), groups in same.items()]
    return (
        f"<h2>The map before and after</h2><p><b>{escape(report.restored_text)}</b></p>"
        + _table(("groups", "buckets before", "buckets after", ""), rows)
        + "<p class='note'>A group's agents are spread over buckets 0 to 99 by a hash of their account; the map says "
        "which site has which bucket.</p>"
    )


def _checks(report: DrillReport) -> str:
    if not report.checks:
        return ""
    rows = [(one.check, one.found) for one in report.checks]
    return "<h2>Checked before it started</h2>" + _table(("precondition", "found"), rows)


def _events(report: DrillReport) -> str:
    if not report.events:
        return ""
    rows = [
        (f"{one.after_start:+.1f} s", one.at.partition("T")[2].rstrip("Z"), one.subject, f"{one.reason}: {one.message}")
        for one in report.events
    ]
    more = f"<p>{report.events_left_out} more are not told.</p>" if report.events_left_out else ""
    return "<h2>Everything that happened</h2>" + _table(("after start", "at", "who", "what"), rows, _numbers(0)) + more


def _in_force(report: DrillReport) -> str:
    if not report.locations and not report.specs:
        return ""
    rows = [
        (
            one.site,
            one.system or "-",
            _tandem(one),
            one.kubernetes_version or "-",
            ", ".join(part for part in (one.cti_version, one.cti_boot and f"life {one.cti_boot}") if part) or "-",
            ", ".join(
                part
                for part in (one.softswitch_version, one.softswitch_uptime and f"up {one.softswitch_uptime:,} s")
                if part
            )
            or "-",
            "; ".join(one.changed) or "nothing",
        )
        for one in report.locations
    ]
    head = ("location", "system", "Tandem", "Kubernetes", "CTI", "softswitch", "changed on the way")
    differ = [one for one in report.specs if not one.agreed]
    same = [(one.object, one.digest, " ".join(one.sites)) for one in report.specs]
    verdict = f"{len(differ)} differ between locations." if differ else "Every location had read the same."
    return (
        "<h2>What was in force</h2>"
        + _table(head, rows)
        + f"<h3>Digests of the specs at the start</h3><p>{verdict}</p>"
        + _table(("object", "SHA-256, first 16 digits", "read by"), same)
    )


def _tandem(one: Location) -> str:
    """Engine and operator; one image as a rule, but for the moments of an upgrade."""
    engine, operator = one.engine_version or "writes nothing", one.operator_version
    return engine if operator in ("", one.engine_version) else f"engine {engine}, operator {operator}"


def _trend(report: DrillReport) -> str:
    runs = report.trend
    if len(runs) < 2:
        return "<h2>The last runs</h2><p>This is the first run that is kept.</p>\n"
    rows = [
        (
            run.name,
            run.outcome,
            f"{run.agents:,}",
            seconds(run.out.p95 if run.out else None, "-"),
            seconds(run.back.p95 if run.back else None, "-"),
            seconds(run.out_all, "-"),
            seconds(run.back_all, "-"),
            "-" if run.cut is None else f"{run.cut:,}",
        )
        for run in runs
    ]
    points = [
        (run.name[4:8] if len(run.name) >= 8 else run.name, run.out.p95 if run.out else None,
         run.back.p95 if run.back else None)
        for run in reversed(runs)
    ]  # fmt: skip
    head = ("run", "outcome", "agents", "p95 out", "p95 back", "all out", "all back", "cut")
    return (
        "<h2>The last runs</h2>"
        f"<figure>{svg.trend(points)}<figcaption>95th percentile of the agents' own time without service, by month and "
        "day of the run.</figcaption></figure>" + _table(head, rows, _numbers(2, 3, 4, 5, 6, 7))
    )


def _limits(report: DrillReport) -> str:
    return "<h2>What this report does not know</h2>" + _list(report.not_measured)
