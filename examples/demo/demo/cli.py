"""`python -m demo`: bring the call centre up, tell the story, write the report, clean up."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import lab
from demo import machine, orders, page, pictures, quickstart, report
from demo.callcentre import CallCentre
from demo.disaster import Rescue
from demo.errors import DemoError
from demo.paths import OUT, shown
from demo.rehearsal import Rehearsal
from demo.story import Storyteller, disaster, drill, tell, way_home
from lab.errors import LabError

DEMO_OUT = OUT / "demo"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 every promise held, 1 something failed (said what), 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the lab up at the end, and say how to look around")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the 1,200 agents, for a quick look")
    options = parser.parse_args(argv)
    say = Storyteller(lambda line: print(line, flush=True))
    try:
        return asyncio.run(_run(say, keep=options.keep, scale=options.scale))
    except (DemoError, LabError) as e:
        print(f"\ndemo: {e}\ndemo: logs lie in {shown(DEMO_OUT)} and {shown(OUT / 'lab' / 'logs')}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted; `make demo` starts afresh, `make lab-down` cleans up", file=sys.stderr)
        return 130


async def _run(say: Storyteller, *, keep: bool, scale: float) -> int:
    folder = DEMO_OUT
    clear(folder)
    chosen = quickstart.load() if scale == 1.0 else quickstart.scaled(scale, folder / "manifests")
    cities = lab.current()
    say(f"{sum(group.agents for group in chosen.groups):,} agents in {len(chosen.groups)} groups; three cities")
    await fresh(cities)
    centre = CallCentre(cities, chosen, folder, say=say)
    try:
        await centre.start()
        moves = await tell(centre, orders.story(chosen), say)
        rehearsal = await drill(centre, say)
        rescue = await disaster(centre, say)
        moves.append(await way_home(centre, say))
    except (DemoError, LabError):
        # Who asked to keep the lab wants to look around most of all when something went wrong.
        if keep:
            print(look_around(centre))
        else:
            await _end(centre, cities)
        raise
    except BaseException:
        await _end(centre, cities)
        raise
    if not keep:
        await _end(centre, cities)
    took = time.time() - say.started_at
    homes = chosen.agents_by_home
    result = report.Report(say.started_at, took, machine.describe(), homes, moves, say.lines, rescue)
    write(result, folder)
    write_drill(rehearsal, folder)
    print("\n" + report.table(result) + "\n\n" + "\n".join(report.LEGEND))
    print("\n" + report.rescue_table(rescue))
    print(f"\ndrill {rehearsal.outcome}: {rehearsal.message}; its report: {shown(folder / 'report.html')}")
    print(f"read {shown(folder / 'demo.html')}; {shown(folder / 'report.json')}, {shown(folder / 'switch-times.png')}")
    if keep:
        print(look_around(centre))
    return verdict(moves, rescue, rehearsal)


def clear(folder: Path) -> None:
    """An empty folder: an older run's timelines must not be read as this one's."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()


async def fresh(cities: lab.Lab) -> None:
    """A lab that nothing was installed in: an older store would remember older moves."""
    if (await cities.status()).running:
        await cities.down()
    await cities.up()


async def _end(centre: CallCentre, cities: lab.Lab) -> None:
    await centre.stop()
    await cities.down()


def write(result: report.Report, folder: Path) -> None:
    """`report.json`, `demo.html` and `switch-times.png`."""
    picture = pictures.switch_times(result.moves, result.rescue)
    (folder / "switch-times.png").write_bytes(picture)
    (folder / "demo.html").write_text(page.html(result, picture), encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(report.to_json(result), indent=2) + "\n", encoding="utf-8")


def write_drill(rehearsal: Rehearsal, folder: Path) -> None:
    """The drill's report, as Tandem has written it: `report.html` and `drill.json`."""
    (folder / "report.html").write_text(rehearsal.page, encoding="utf-8")
    (folder / "drill.json").write_text(json.dumps(rehearsal.data, indent=2) + "\n", encoding="utf-8")


def verdict(moves: Sequence[report.Move], rescue: Rescue | None = None, rehearsal: Rehearsal | None = None) -> int:
    """Say which promise did not hold, and which goal of speed was missed; the exit status tells of promises only."""
    for move in moves:
        for words in move.missed:
            print(
                f"demo: {move.name}: {words} (a machine that is busy with other things takes longer)", file=sys.stderr
            )
        if not move.complete:
            print(f"demo: {move.name}: a promise did not hold, see its row", file=sys.stderr)
    if rescue is not None and not rescue.complete:
        print("demo: the disaster: a promise did not hold, see the report", file=sys.stderr)
    if rescue is not None and rescue.missed:
        print(f"demo: the disaster: {rescue.missed}", file=sys.stderr)
    if rehearsal is not None and not rehearsal.complete:
        print(f"demo: the drill: {rehearsal.outcome}: {rehearsal.message}", file=sys.stderr)
    others = [found.complete for found in (rescue, rehearsal) if found is not None]
    return 0 if all(move.complete for move in moves) and all(others) else 1


def look_around(centre: CallCentre) -> str:
    """The commands for a lab that was kept."""
    east = shown(centre.clusters["east"].kubeconfig)
    west = shown(centre.clusters["west"].kubeconfig)
    return f"""
The three cities stay up, with their agents. To look around:

  export KUBECONFIG={east}:{west} PATH="{Path(centre.clusters["east"].kubectl_binary).parent}:$PATH"
  kubectl --context east get sites,agentgroups,trunks,shifts -A
  kubectl --context east describe shift -n callcenter everyone-home
  .venv/bin/kubectl-tandem status
  kubectl --context west apply -f examples/quickstart/orders/sales-to-west.yaml   # an order needs both cities:
  kubectl --context east apply -f examples/quickstart/orders/sales-to-west.yaml
  make lab-status; make lab-down
"""
