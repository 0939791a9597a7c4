"""The fault matrix: each fault on a running call centre, what must come of it, and what came of it.

    make matrix                       all cases (about 65 min)
    make matrix ONLY='engine|clock'   those with one of these in their name

Writes `out/matrix/report.json` and `report.txt`. Exit status 0: every case is as expected and nothing was broken.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import lab
from demo import machine, quickstart
from demo.callcentre import CallCentre
from demo.cli import clear, fresh
from demo.errors import DemoError
from demo.install import ACTIVE, STORE_PORT
from demo.paths import OUT, shown
from demo.report import plain_table, seconds
from demo.story import Storyteller
from lab.addresses import CITIES
from lab.errors import LabError
from tests.bench.leadership import Leadership
from tests.e2e.callcenter_fixtures import rest
from tests.matrix.cases import CASES, Case
from tests.matrix.ctis import ANSWER_WITHIN_S, ControlPort, Cti, CtiWatcher
from tests.matrix.invariants import bucket_of
from tests.matrix.runner import Result, run
from tests.matrix.scene import Scene
from tests.matrix.watcher import CallWatcher, StoreWatcher

MATRIX_OUT: Final = OUT / "matrix"
SCALE: Final = 0.1
CTI_CONTROL_PORT: Final = 8081


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all as expected, 1 not."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="cases with this in their name; several by |")
    options = parser.parse_args(argv)
    words = [word.strip().lower() for word in options.only.split("|")]
    cases = [case for case in CASES if any(word in case.name.lower() for word in words)]
    say = Storyteller(lambda line: print(line, flush=True))
    try:
        results = asyncio.run(_run(cases, say))
    except (DemoError, LabError) as e:
        print(f"matrix: {e}", file=sys.stderr)
        return 1
    write(results)
    print(f"\n{table(results)}\n\n{shown(MATRIX_OUT / 'report.json')}")
    return 0 if all(result.ok for result in results) else 1


async def _run(cases: Sequence[Case], say: Storyteller) -> list[Result]:
    clear(MATRIX_OUT)
    cities = lab.current()
    await fresh(cities)
    centre = CallCentre(cities, quickstart.scaled(SCALE, MATRIX_OUT / "manifests"), MATRIX_OUT, say=say)
    results: list[Result] = []
    try:
        await centre.start()
        store, calls = watcher_of(centre), CallWatcher(centre.installation.carrier_url)
        ctis = await ctis_of(centre)
        scene = Scene(centre, Leadership(centre), store, ctis)
        await store.start()
        ctis.start()
        for case in cases:
            try:
                result = await run(case, scene, calls, say)
                results.append(result)
                say(f"{'as expected' if result.ok else 'NOT AS EXPECTED'}: {result.observed}")
                for line in result.invariants_broken[:10]:
                    say(f"broken: {line}")
                await rest(centre)
            except (DemoError, LabError) as e:
                results.append(Result(case.name, case.must_be, f"stopped: {e}", None))
                say(f"NOT AS EXPECTED: {e}")
                await scene.undo()
            write(results)
        await ctis.stop()
        await store.stop()
        await calls.aclose()
        await scene.leadership.aclose()
        return results
    finally:
        await centre.stop()
        await cities.down()


def watcher_of(centre: CallCentre) -> StoreWatcher:
    """The independent observer of this call centre's store."""
    members = [f"https://{place.address}:{STORE_PORT}" for place in CITIES.values()]
    return StoreWatcher(members, *centre.installation.credentials("demo"))


async def ctis_of(centre: CallCentre) -> CtiWatcher:
    """The independent observer of this call centre's CTIs, which only their own cities reach."""
    agents = json.loads(centre.people.file.read_text(encoding="utf-8"))["agents"]
    accounts: dict[tuple[str, int], list[str]] = {}
    for agent in agents:
        accounts.setdefault((agent["group"], bucket_of(agent["account"])), []).append(agent["account"])
    systems = sorted({group.system for group in centre.quickstart.groups})
    threads = ThreadPoolExecutor(len(ACTIVE) * len(systems), thread_name_prefix="cti")
    ctis = []
    for city in ACTIVE:
        for system in systems:
            service = await centre.clusters[city].get("service", f"cti-{system}")
            address = (str(service["spec"]["clusterIP"]), CTI_CONTROL_PORT)
            connect = partial(centre.lab.connect, city, address, timeout=ANSWER_WITHIN_S)
            port = ControlPort(connect, centre.installation.control_token, threads)
            ctis.append(Cti(city, system, port.ask, port.close))
    return CtiWatcher(ctis, accounts)


def write(results: Sequence[Result]) -> None:
    """`report.json` and `report.txt`, after each case anew."""
    document = {
        "machine": machine.describe(),
        "agents": "a tenth of the quickstart's",
        "cases": [result.to_json() for result in results],
    }
    (MATRIX_OUT / "report.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (MATRIX_OUT / "report.txt").write_text(table(results) + "\n", encoding="utf-8")


def table(results: Sequence[Result]) -> str:
    """One line per case, and what was broken below it."""
    rows = [
        (
            result.name,
            result.expected,
            result.observed[:60],
            "-" if result.seconds is None else seconds(result.seconds),
            str(len(result.invariants_broken)),
            "ok" if result.ok else "NOT OK",
        )
        for result in results
    ]
    whole = plain_table(("fault", "expected", "observed", "all back", "broken", ""), rows)
    broken = [f"{r.name}: {line}" for r in results for line in r.invariants_broken[:10]]
    good = sum(1 for result in results if result.ok)
    return "\n".join([whole, "", f"{good} of {len(results)} as expected", *broken])


if __name__ == "__main__":
    sys.exit(main())
