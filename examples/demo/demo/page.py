"""`demo.html`: the report as one self-contained page, readable without a network."""

import base64
from html import escape
from typing import Final

from demo.report import COLUMNS, PUBLISHED_LATER, Move, Report, reference_rows, rescue_rows, row, seconds

STYLE: Final = """
:root { --ink: #22303a; --soft: #5c6b75; --line: #dfe5e9; --accent: #0b6e8f; --bad: #b3261e; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem 4rem; color: var(--ink); background: #fff;
       font: 16px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; }
p { max-width: 46rem; } .soft { color: var(--soft); }
.cards { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.5rem 0; padding: 0; list-style: none; }
.cards li { border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1.1rem; min-width: 11rem; flex: 1; }
.cards b { display: block; font-size: 1.6rem; color: var(--accent); } .cards .bad b { color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 600; } th:first-child, td:first-child { text-align: left; }
tr.published td { color: var(--soft); font-style: italic; } table.phases { width: auto; }
table.phases td:last-child { text-align: left; color: var(--soft); } td.bad { color: var(--bad); font-weight: 700; }
img { width: 100%; height: auto; border: 1px solid var(--line); border-radius: .5rem; }
code { background: #f2f5f7; padding: .1rem .35rem; border-radius: .25rem; font-size: .92em; }
ol.story { list-style: none; padding: 0; } ol.story li { display: flex; gap: 1rem; padding: .12rem 0; }
ol.story time { color: var(--soft); min-width: 5.2rem; text-align: right; font-variant-numeric: tabular-nums; }
"""


def html(report: Report, picture: bytes) -> str:
    """The whole page. `picture` is a PNG."""
    image = base64.b64encode(picture).decode()
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tandem: agents moved between two cities</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{_headline(report)}</h1>
<p class="soft">{_circumstances(report)}</p>
{_cards(report)}
<h2>Every move</h2>
<div class="scroll">{_table(report)}</div>
<p class="soft">p50, p95 and max are an agent's own gap: from signed out here until the first ping is answered and the
phone is registered there. The shares count from the commit until that part of the agents is signed in at the other
city; agents in a call finish it and their wrap-up first. <em>calls</em>: in progress at the commit on agents who
move; <em>cut</em>: how many calls of theirs were cut; <em>control</em>: agents at the other city who noticed
anything. The goal is Tandem's own, for idle agents. The published figures are a large travel company's, for a switch
between its two call centres.</p>
{_disaster(report)}
<h2>The switch times</h2>
<img alt="Histogram of the agents' own gaps, and cumulative share of agents arrived since the commit"
 src="data:image/png;base64,{image}">
<h2>What was done</h2>
{_commands(report)}
<h2>The story</h2>
{_story(report)}
</body>
</html>
"""


def _headline(report: Report) -> str:
    largest = max(report.moves, key=lambda move: move.agents, default=None)
    if largest is None:
        return "No move was made"
    return f"{largest.agents:,} agents moved to the other city in {seconds(largest.measures.time_to[100.0])}"


def _circumstances(report: Report) -> str:
    homes = ", ".join(f"{count:,} at home in {site}" for site, count in report.agents_by_home.items())
    machine = "; ".join(f"{escape(key)}: {escape(value)}" for key, value in report.machine.items())
    return (
        f"{report.agents:,} agents ({escape(homes)}), real phones and calls, three real Kubernetes clusters on one "
        f"machine ({machine}). Round trips between the cities are near zero here. The run took "
        f"{seconds(report.took_seconds)}."
    )


def _cards(report: Report) -> str:
    gaps = [move.measures.switch_seconds.p95 for move in report.moves if move.measures.switch_seconds]
    cut = sum(move.measures.calls_cut for move in report.moves)
    in_progress = sum(move.measures.calls_in_progress for move in report.moves)
    noticed = sum(len(move.measures.control_noticed) for move in report.moves)
    control = max((move.measures.control_agents for move in report.moves), default=0)
    idle = [move.measures.time_to[100.0] for move in report.moves if not move.with_calls]
    cards = [
        (seconds(max(gaps)) if gaps else "-", "largest p95 of an agent's own gap", not gaps),
        (str(cut), f"calls cut of {in_progress:,} in progress on agents who moved", cut > 0),
        (str(noticed), f"of {control:,} control agents noticed anything", noticed > 0),
    ]
    if idle:
        slowest = None if None in idle else max(time for time in idle if time is not None)
        cards.append((seconds(slowest), f"for all idle agents; published: {seconds(PUBLISHED_LATER)}", slowest is None))
    items = "".join(
        f"<li{' class=bad' if bad else ''}><b>{escape(figure)}</b>{escape(text)}</li>" for figure, text, bad in cards
    )
    return f'<ul class="cards">{items}</ul>'


def _table(report: Report) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in COLUMNS)
    body = "".join(f"<tr>{_cells(move)}</tr>" for move in report.moves)
    published = "".join(
        f'<tr class="published">{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        for cells in reference_rows()
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}{published}</tbody></table>"


def _disaster(report: Report) -> str:
    """The section about the city that lost its power; nothing when none did."""
    found = report.rescue
    if found is None:
        return ""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(time)}</td><td>{escape(meaning)}</td></tr>"
        for name, time, meaning in rescue_rows(found)
    )
    verdict = f"<p><b>{escape('; '.join(found.broken))}</b></p>" if found.broken else ""
    return f"""<h2>A city loses its power</h2>
<p>Every process of the city was killed at once and its links were taken down, with {found.agents:,} agents signed in
there. From that moment on, by itself:</p>
<div class="scroll"><table class="phases"><tbody>{rows}</tbody></table></div>{verdict}
<p class="soft">{found.control_agents:,} agents worked in the other city all along.</p>"""


def _cells(move: Move) -> str:
    figures = move.measures
    missed = " ".join(move.missed)
    wrong = {
        "p95": "own gap" in missed,
        "100 %": "all there" in missed,
        "agents": bool(figures.missing),
        "cut": figures.calls_cut > 0,
        "control": bool(figures.control_noticed),
    }
    return "".join(
        f"<td{' class=bad' if wrong.get(column) else ''}>{escape(cell)}</td>"
        for column, cell in zip(COLUMNS, row(move), strict=True)
    )


def _commands(report: Report) -> str:
    items = "".join(f"<li>{escape(move.name)}: <code>{escape(move.command)}</code></li>" for move in report.moves)
    return f"<ol>{items}</ol>"


def _story(report: Report) -> str:
    items = "".join(
        f"<li><time>{line.at - report.started_at:+.1f} s</time><span>{escape(line.text)}</span></li>"
        for line in report.story
    )
    return f'<ol class="story">{items}</ol>'
