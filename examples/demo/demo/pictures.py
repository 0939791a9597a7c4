"""The picture of the switch times: each agent's own gap, and how the agents arrived."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final

import matplotlib as mpl
import numpy as np

from demo.disaster import Rescue
from demo.measure import SHARES
from demo.report import PUBLISHED, PUBLISHED_LATER, Move, seconds

# Chosen so that neighbours differ in lightness as well as in hue.
COLOURS: Final = ("#0b6e8f", "#e07a1f", "#5b8c3a", "#8a4fa3", "#c23b4b", "#7a6a53", "#3556a8", "#b8901c", "#6fb7a9")
INK: Final = "#22303a"
GRID: Final = "#dfe5e9"
LEAST_SECONDS: Final = 1e-3
"""Where the time axes begin: a gap under a millisecond is drawn at a millisecond."""


def switch_times(moves: Sequence[Move], rescue: Rescue | None = None) -> bytes:
    """A PNG: a histogram of the agents' own gaps, and beside it the share of agents arrived since the commit.

    Both time axes are logarithmic: Tandem's times and the published ones lie five decades apart.
    `rescue`, if there was one, is drawn with the arrivals, from the power-off on.
    """
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    drawn = [move for move in moves if move.measures.switches]
    with plt.rc_context({"font.family": "DejaVu Sans", "font.size": 10, "axes.edgecolor": INK, "text.color": INK}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(14, 6.6), dpi=110, layout="constrained")
        _histogram(left, drawn)
        _arrivals(right, drawn)
        if rescue is not None and rescue.arrived:
            _returns(right, rescue)
        figure.suptitle("Between two cities: every agent, one by one", fontsize=13, fontweight="bold")
        # One legend for both: a move has the same colour in either drawing.
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
        out = BytesIO()
        # No software name or date: the same figures give the same bytes.
        figure.savefig(out, format="png", metadata={"Software": None})
        plt.close(figure)
    return out.getvalue()


def _style(axes: Any) -> None:
    axes.set_xscale("log")
    axes.grid(True, which="major", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _histogram(axes: Any, moves: Sequence[Move]) -> None:
    _style(axes)
    gaps = [[max(LEAST_SECONDS, switch.gap) for switch in move.measures.switches] for move in moves]
    most = max((max(own) for own in gaps), default=1.0)
    bins = np.logspace(np.log10(LEAST_SECONDS), np.log10(max(most * 1.2, 1.0)), 61)
    if gaps:
        axes.hist(
            gaps,
            bins=bins,
            stacked=True,
            color=[COLOURS[n % len(COLOURS)] for n in range(len(moves))],
        )
    axes.set_title("Own gap: out here until signed in there", loc="left")
    axes.set_xlabel("switch time of one agent (seconds, logarithmic scale)")
    axes.set_ylabel("agents")


def _returns(axes: Any, rescue: Rescue) -> None:
    shares = [100 * (rank + 1) / rescue.agents for rank in range(len(rescue.arrived))]
    axes.step(
        [LEAST_SECONDS, *rescue.arrived],
        [0.0, *shares],
        where="post",
        color="black",
        linewidth=2.4,
        label=f"a city dies: {len(rescue.arrived)} agents, all in {seconds(rescue.time_to[100.0])} from the power-off",
    )


def _arrivals(axes: Any, moves: Sequence[Move]) -> None:
    _style(axes)
    for n, move in enumerate(moves):
        times = sorted(max(LEAST_SECONDS, switch.signed_in_at - move.committed_at) for switch in move.measures.switches)
        shares = [100 * (rank + 1) / move.agents for rank in range(len(times))]
        axes.step(
            [LEAST_SECONDS, *times],
            [0.0, *shares],
            where="post",
            color=COLOURS[n % len(COLOURS)],
            linestyle="-" if move.with_calls else "--",
            linewidth=1.8,
            label=f"{move.name}: {len(times)} agents, all in {seconds(move.measures.time_to[100.0])}",
        )
    axes.plot(
        [PUBLISHED[share] for share in SHARES], list(SHARES), "o:", color=INK, markersize=5, label="published, 2016"
    )
    axes.plot([PUBLISHED_LATER], [100.0], "D", color=INK, markersize=5, label="published, later: all in 2 min")
    for share in SHARES:
        axes.axhline(share, color=GRID, linewidth=0.8, zorder=0)
    axes.set_yticks([0, 25, 50, *SHARES])
    axes.set_yticklabels(["0", "25", "50", *(f"{share:g}" for share in SHARES)])
    axes.set_ylim(0, 106)
    axes.set_xlim(left=0.01)
    axes.set_title("Arrived since the commit (dashed: idle agents; solid: with calls)", loc="left")
    axes.set_xlabel("time since the commit, or since the power-off (seconds, logarithmic scale)")
    axes.set_ylabel("agents signed in at the other city (%)")
