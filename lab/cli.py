"""`python -m lab`: the lab on the command line. Run from the repository's top."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from lab import current
from lab.addresses import CITIES, LINKED, LOCATIONS, location
from lab.errors import LabError
from lab.interface import COMPONENTS, CityStatus, Lab, LabStatus, Swallowed


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 an error that was explained, 2 wrong usage, 3 `status` of a lab that is not whole."""
    arguments = _parser().parse_args(argv)
    try:
        return int(asyncio.run(arguments.run(arguments)) or 0)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyError as error:
        print(f"lab: {error.args[0]}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lab: interrupted; the same command goes on from here, `python -m lab down` cleans up", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str, run: object) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    command("up", "start the three cities; heals one that is partly down", _up)
    down = command("down", "stop the lab and leave nothing behind", _down)
    down.add_argument("--force", action="store_true", help="even if another checkout's lab holds the names")
    command("status", "what runs, what is broken", _status)
    images = command("images", "build the project's images, and load them into the cities if they run", _images)
    images.add_argument("names", nargs="*", metavar="IMAGE", help="only these")
    command("tools", "build the binaries and install the packages that the contract tests need", _tools)
    load = command("load", "bring a built image into the cities", _load)
    load.add_argument("image")
    load.add_argument("cities", nargs="*", metavar="CITY", help=f"of {', '.join(CITIES)}; all by default")
    execute = command("exec", "run a command in a location's network", _exec)
    execute.add_argument("location", choices=LINKED)
    execute.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    for word, text in (("fault", "break something"), ("undo", "mend it again")):
        fault = command(word, text, None)
        _fault_arguments(fault, undo=word == "undo")
    return parser


def _fault_arguments(parser: argparse.ArgumentParser, *, undo: bool) -> None:
    kinds = parser.add_subparsers(required=True, metavar="NAME")

    def kind(name: str, text: str, run: object, *arguments: str) -> argparse.ArgumentParser:
        sub = kinds.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        for argument in arguments:
            known = {"city": list(CITIES), "a": list(LINKED), "b": list(LINKED)}.get(argument)
            text_of = (
                f"{', '.join(COMPONENTS)} or pod/NAMESPACE/DEPLOYMENT[/CONTAINER]" if argument == "component" else None
            )
            sub.add_argument(argument, choices=known, help=text_of)
        return sub

    if undo:
        kind("kill-city", "power on again, with the same disk", lambda a: _lab().faults.restore_city(a.city), "city")
        kind("cut", "mend both directions", lambda a: _lab().faults.mend(a.a, a.b), "a", "b")
        kind("freeze", "let it run on", lambda a: _lab().faults.thaw(a.city, a.component), "city", "component")
        kind("kill", "start it again", lambda a: _lab().faults.revive(a.city, a.component), "city", "component")
        kind("swallow", "lose nothing any more", lambda a: _lab().faults.unswallow(a.city), "city")
        kind("lose-names", "lose nothing any more", lambda a: _lab().faults.unswallow(a.city), "city")
        disk = kind("fill-disk", "the volume is on the city's own disk again", _free_disk, "city", "component")
        disk.add_argument("--volume", default="store")
        kind(
            "step-clock",
            "as the machine's",
            lambda a: _lab().faults.true_clock(a.city, a.component),
            "city",
            "component",
        )
        kind("starve", "as much processor time as there is", lambda a: _lab().faults.feed(a.city), "city")
        kind("burden", "end the loops", lambda _: _lab().faults.unburden())
        kind("all", "undo every fault there is", lambda _: _lab().faults.undo_all())
        return
    kind("kill-city", "power off: link down, all dead at once", lambda a: _lab().faults.kill_city(a.city), "city")
    cut = kind("cut", "drop what A sends to B, silently", lambda a: _lab().faults.cut(a.a, a.b, both=a.both), "a", "b")
    cut.add_argument("--one-way", dest="both", action="store_false", help="only from A to B")
    kind("freeze", "SIGSTOP", lambda a: _lab().faults.freeze(a.city, a.component), "city", "component")
    kind("kill", "SIGKILL", lambda a: _lab().faults.kill(a.city, a.component), "city", "component")
    words = kind("swallow", "lose a service's messages that begin in a certain way", _swallow, "city")
    words.add_argument("protocol", choices=("udp", "tcp"))
    words.add_argument("port", type=int, help="NodePort of the service")
    words.add_argument("way", choices=("in", "out"), help="on the way to it, or its answers")
    words.add_argument("begins", help="how the message begins, like 'INVITE '")
    words.add_argument("--offset", type=int, default=0, help="bytes before that")
    kind("lose-names", "lose the pods' questions to a name server", lambda a: _lab().faults.lose_names(a.city), "city")
    disk = kind("fill-disk", "a volume on a small disk of its own, and that full", _fill_disk, "city", "component")
    disk.add_argument("--volume", default="store")
    clock = kind("step-clock", "step a pod's wall clock", _step_clock, "city", "component")
    clock.add_argument("seconds", type=int)
    starve = kind("starve", "limit a city's processor time", lambda a: _lab().faults.starve(a.city, a.most), "city")
    starve.add_argument("most", type=float, metavar="PROCESSORS", help="like 0.1")
    busy = kind("burden", "busy loops beside the lab", lambda a: _lab().faults.burden(a.share))
    busy.add_argument("share", type=float, help="of the machine, like 0.75")


def _lab() -> Lab:
    return current()


async def _swallow(arguments: argparse.Namespace) -> None:
    words = Swallowed(
        arguments.protocol, arguments.port, arguments.way, arguments.begins.encode(), offset=arguments.offset
    )
    await _lab().faults.swallow(arguments.city, words)


async def _fill_disk(arguments: argparse.Namespace) -> None:
    faults = _lab().faults
    await faults.small_disk(arguments.city, arguments.volume, arguments.component)
    await faults.fill_disk(arguments.city, arguments.volume, arguments.component)


async def _free_disk(arguments: argparse.Namespace) -> None:
    await _lab().faults.free_disk(arguments.city, arguments.volume, arguments.component)


async def _step_clock(arguments: argparse.Namespace) -> None:
    await _lab().faults.step_clock(arguments.city, arguments.component, arguments.seconds)


async def _up(_: argparse.Namespace) -> int:
    lab = _lab()
    await lab.up()
    return _show(await lab.status(), lab)


async def _down(arguments: argparse.Namespace) -> None:
    await _lab().down(force=arguments.force)


async def _status(_: argparse.Namespace) -> int:
    lab = _lab()
    return _show(await lab.status(), lab)


async def _images(arguments: argparse.Namespace) -> None:
    from lab import images

    lab = _lab()
    names = arguments.names or list(images.PROJECT)
    archives = await asyncio.to_thread(images.ensure, names)
    running = await asyncio.to_thread(lab.runs)
    for name, archive in archives.items():
        if running:
            await lab.load(name)
        print(f"{name}  {archive}")


async def _tools(_: argparse.Namespace) -> None:
    from lab import packages, tools

    await asyncio.to_thread(packages.ensure, packages.TESTS, purpose="The contract tests")
    await asyncio.to_thread(tools.ensure)


async def _load(arguments: argparse.Namespace) -> None:
    await _lab().load(arguments.image, *arguments.cities)


async def _exec(arguments: argparse.Namespace) -> None:
    place = location(arguments.location)
    words = [word for index, word in enumerate(arguments.command) if index or word != "--"] or ["bash"]
    enter = ["nsenter", f"--net={place.netns_path}", "--"] if place.name in LOCATIONS else []
    os.execvp([*enter, *words][0], [*enter, *words])


def _show(status: LabStatus, lab: Lab) -> int:
    if not status.running:
        print("no lab is running" + (f"; {status.holder}" if status.holder else ""))
        return 3
    print(f"held by {status.holder}")
    width = max(map(len, COMPONENTS))
    print(f"{'':{width}}  " + "".join(f"{city.name:10}" for city in status.cities))
    for component in COMPONENTS:
        print(f"{component:{width}}  " + "".join(f"{city.components[component]:10}" for city in status.cities))
    for title, values in (
        ("API ready", [city.api_ready for city in status.cities]),
        ("node Ready", [city.node_ready for city in status.cities]),
        ("link", [city.name not in status.links_down for city in status.cities]),
    ):
        print(f"{title:{width}}  " + "".join(f"{'yes' if value else 'NO':10}" for value in values))
    for name in sorted(status.links_down):
        print(f"link down: {name}")
    for city in status.cities:
        for pod in city.frozen_pods:
            print(f"frozen in {city.name}: {pod}")
        for fault in _faults_of(city):
            print(f"{fault} in {city.name}")
    for source, target in sorted(status.cuts):
        print(f"cut: {source} -> {target}")
    if status.burdened:
        print("busy loops beside the lab")
    for name, count in status.spawned.items():
        if count:
            print(f"spawned in {name}: {count} processes")
    for city in status.cities:
        print(f"kubectl --kubeconfig {os.path.relpath(lab.kubeconfig(city.name))} ...")
    return 0 if status.healthy else 3


def _faults_of(city: CityStatus) -> list[str]:
    found = ["messages swallowed"] if city.swallows else []
    found += [f"volume {volume} full" for volume in city.full_volumes]
    found += [f"{city.stepped_clocks} processes with a clock of their own"] if city.stepped_clocks else []
    return found + ([f"at most {city.processors:g} processors"] if city.processors is not None else [])
