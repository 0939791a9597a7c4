"""Command line of `kubectl tandem`."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tandem.api.common import WHY_LETTERS
from tandem.cli import abort, apply, approve, certs, drill, drill_report, history, hold, plan, shift, status
from tandem.cli.contexts import Clusters, chosen, kubeconfig_files
from tandem.errors import ConfigError, TandemError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="kubectl tandem", description="Call centres in two or more cities at once.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=text, description=text)
        if name != "certs":
            found.add_argument(
                "--contexts", default="", help="contexts of the kubeconfig, joined by commas; default: all"
            )
        return found

    def manifests(of: argparse.ArgumentParser, files: str) -> None:
        one = of.add_mutually_exclusive_group(required=True)  # as for kubectl
        again = "can be repeated"
        one.add_argument("-f", "--filename", action="append", default=[], help=f"{files}; {again}")
        one.add_argument("-k", "--kustomize", action="append", default=[], help=f"folder with a kustomization; {again}")

    command("status", "Where the agents are, how the cities are, what is moving.")
    held = command("hold", "The big red button: nothing new starts until resume.")
    held.add_argument("--reason", type=_reason, required=True, help="why; everybody sees it")
    resumed = command("resume", "Lift the hold.")
    resumed.add_argument("--reason", type=_reason, default="", help="why")

    moved = command("shift", "Move agents between sites.")
    goal = moved.add_mutually_exclusive_group(required=True)
    goal.add_argument("--to", default="", help="site that receives them")
    goal.add_argument("--placement", default="", help="each group's share by site afterwards: east=60,west=40")
    goal.add_argument("--evacuate", default="", help="site that all leave, the most important first")
    moved.add_argument("--system", default="", help="groups of this system")
    moved.add_argument("--region", default="", help="groups of this region")
    moved.add_argument("--skill-group", default="", help="groups of this skill group")
    moved.add_argument("--from", dest="site", default="", help="groups with agents at this site")
    moved.add_argument("--labels", default="", help="groups with these labels: home=east,floor=2")
    moved.add_argument("--names", default="", help="groups with these names, joined by commas")
    moved.add_argument("--percent", type=_percent, default=100, help="share of each group that the site has afterwards")
    moved.add_argument(
        "--forced", action="store_true", help="do not wait: agents leave in the middle of calls, which go on"
    )
    moved.add_argument(
        "--waves",
        default="",
        help="share of the move done after each wave, like 5,25,100, the default; 100: all at once",
    )
    moved.add_argument("--approval", action="store_true", help="wait until a person approves the plan")
    moved.add_argument("--dry-run", action="store_true", help="plan only, and print the plan")
    moved.add_argument("--name", default="", help="name of the Shift; default: made from target and time")
    moved.add_argument("-n", "--namespace", default="", help="namespace of the groups; default: the context's")
    moved.add_argument("--wait", action="store_true", help="tell what happens until it has ended")
    moved.add_argument("--timeout", type=float, default=600.0, help="seconds to wait at most")

    planned = command("plan", "What Shifts and changed orders would do now; nothing is created.")
    manifests(planned, "file, folder or - for standard input")
    planned.add_argument("-n", "--namespace", default="", help="namespace where a manifest names none")
    planned.add_argument("-o", "--output", choices=("text", "json"), default="text", help="json: the plans as data")
    planned.add_argument("--operator", default=plan.DEFAULT_OPERATOR, help="the operator's Service: %(default)s")

    approved = command("approve", "Approve the plan of a Shift that waits for it.")
    approved.add_argument("name", help="name of the Shift, or namespace/name")
    approved.add_argument("-n", "--namespace", default="", help="its namespace; default: the context's")

    aborted = command("abort", "Stop a Shift and bring everybody back.")
    aborted.add_argument("name", help="name of the Shift, or namespace/name")
    aborted.add_argument("-n", "--namespace", default="", help="its namespace; default: the context's")

    drilled = command("drill", "Start a Drill now, abort the run under way, or print a run's report.")
    actions = "run: now, whatever its schedule; abort: come back; report: of a run that is over"
    drilled.add_argument("action", choices=("run", "abort", "report"), help=actions)
    drilled.add_argument("name", help="name of the Drill, or namespace/name")
    drilled.add_argument("-n", "--namespace", default="", help="its namespace; default: the context's")
    drilled.add_argument("--wait", action="store_true", help="tell what happens until the run is over")
    drilled.add_argument("--timeout", type=float, default=3600.0, help="seconds to wait at most")
    drilled.add_argument("--run", dest="run_name", default="", help="report: of this run; default: the newest")
    formats = "report: text (figures), json (everything), html (everything, to read and to print)"
    drilled.add_argument("-o", "--output", choices=("text", "json", "html"), default="text", help=formats)

    told = command("history", "Who decided what, when, why and at which revision; the newest last.")
    told.add_argument("--since", default="", help="like 90m, 7d or 2026-11-28T03:00:00Z; default: from the beginning")
    told.add_argument("--site", default="", help="what concerns this site")
    told.add_argument("--group", default="", help="what concerns this AgentGroup: namespace/name, or its name")
    told.add_argument("--shift", default="", help="what this Shift did: namespace/name, or its name")
    told.add_argument("--drill", default="", help="what this Drill and its Shifts did")
    told.add_argument("--kind", default="", help="Site, AgentGroup, Trunk, Shift, Drill or Hold")
    told.add_argument("--name", default="", help="name of the object")
    told.add_argument("--action", default="", help="like FailoverDecided, WaveStarted or Approved")
    told.add_argument("--by", default="", help="part of who stands behind it: a person, order, schedule, Failover")
    told.add_argument(
        "--limit", type=int, default=history.DEFAULT_LIMIT, help="the newest so many (%(default)s); 0: all"
    )
    told.add_argument("-o", "--output", choices=("table", "wide", "json"), default="table", help="default: %(default)s")
    told.add_argument("--operator", default=plan.DEFAULT_OPERATOR, help="the operator's Service: %(default)s")

    applied = command("apply", "Apply the same manifests to every cluster.")
    manifests(applied, "file or folder")

    made = command("certs", "Certificates for the store's mutual TLS, as one Secret per location.")
    made.add_argument("--sites", required=True, help="east=198.18.0.11,west=198.18.0.12,witness=198.18.0.13")
    made.add_argument("--out", type=Path, required=True, help="folder for the authority, the keys and the Secrets")
    made.add_argument("-n", "--namespace", default="tandem-system", help="namespace of the release")
    made.add_argument("--secret", default=certs.SECRET, help="name of the Secret: the chart's etcd.tlsSecret")
    made.add_argument("--days", type=int, default=825, help="days for which the certificates are valid")
    return top


async def run(arguments: argparse.Namespace) -> int:
    """Carry one command out; returns the exit code. Raises: TandemError."""
    if arguments.command == "certs":
        sites = certs.parse_sites(arguments.sites)
        return await asyncio.to_thread(
            certs.run, sites, arguments.out, arguments.namespace, arguments.secret, arguments.days
        )
    files = kubeconfig_files(os.environ)
    names = chosen(_listed(arguments.contexts), files)
    if arguments.command == "apply":
        return await apply.run(names, arguments.filename, arguments.kustomize)
    async with Clusters(names, files) as clusters:
        if arguments.command == "status":
            return await status.run(clusters)
        if arguments.command in ("hold", "resume"):
            return await hold.run(clusters, arguments.command, arguments.reason)
        if arguments.command == "plan":
            return await plan.run(
                clusters,
                arguments.filename,
                arguments.namespace,
                folders=arguments.kustomize,
                operator=arguments.operator,
                as_json=arguments.output == "json",
            )
        if arguments.command == "history":
            return await history.run(
                clusters, history_query(arguments, time.time()), operator=arguments.operator, output=arguments.output
            )
        if arguments.command == "approve":
            return await approve.run(clusters, arguments.name, arguments.namespace)
        if arguments.command == "abort":
            return await abort.run(clusters, arguments.name, arguments.namespace)
        wait_s = arguments.timeout if arguments.wait else 0.0
        if arguments.command == "drill" and arguments.action == "report":
            return await drill_report.run(
                clusters, arguments.name, arguments.namespace, arguments.run_name, arguments.output
            )
        if arguments.command == "drill":
            return await drill.run(clusters, arguments.action, arguments.name, arguments.namespace, wait_s)
        return await shift.run(clusters, wanted(arguments), arguments.namespace, wait_s)


def history_query(arguments: argparse.Namespace, now: float) -> dict[str, str]:
    """What to ask the history. Raises: ConfigError. `now`: seconds since the epoch."""
    if arguments.limit < 0:
        raise ConfigError(f"--limit is {arguments.limit}; write how many entries at most, 0 for all")
    words = ("site", "group", "shift", "drill", "kind", "name", "action", "by")
    since = history.since_of(arguments.since, now)
    return {
        **{word: getattr(arguments, word) for word in words},
        "since": f"{since:.3f}" if since else "",
        "limit": str(arguments.limit),
    }


def wanted(arguments: argparse.Namespace) -> shift.Wanted:
    """The Shift that the arguments describe."""
    return shift.Wanted(
        to=arguments.to,
        placement=_placement(arguments.placement),
        evacuate=arguments.evacuate,
        system=arguments.system,
        region=arguments.region,
        skill_group=arguments.skill_group,
        site=arguments.site,
        names=tuple(_listed(arguments.names)),
        labels=tuple((key, value) for key, _, value in (part.partition("=") for part in _listed(arguments.labels))),
        percent=arguments.percent,
        waves=_waves(arguments.waves),
        forced=arguments.forced,
        approval=arguments.approval,
        dry_run=arguments.dry_run,
        name=arguments.name,
    )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _waves(text: str) -> tuple[int, ...]:
    """Whether they rise and end at 100 is for the API server to say. Raises: ConfigError."""
    try:
        return tuple(int(part) for part in _listed(text))
    except ValueError as error:
        raise ConfigError(f"--waves is {text!r}; write percentages joined by commas, like 5,25,100") from error


def _placement(text: str) -> tuple[tuple[str, int], ...]:
    """Whether the shares make a hundred is for the API server to say. Raises: ConfigError."""
    found = []
    for part in _listed(text):
        site, _, share = part.partition("=")
        if not site or not share.removesuffix("%").isdigit():
            raise ConfigError(f"--placement holds {part!r}; write shares by site in percent, like east=60,west=40")
        found.append((site, int(share.removesuffix("%"))))
    return tuple(found)


def _percent(text: str) -> int:
    try:
        value = int(text.removesuffix("%"))
    except ValueError:
        value = 0
    if not 1 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 1 to 100")
    return value


def _reason(text: str) -> str:
    if len(text) > WHY_LETTERS:
        raise argparse.ArgumentTypeError(f"has {len(text)} letters; write {WHY_LETTERS} at most")
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # bytes that are none, as Python passes them on
        raise argparse.ArgumentTypeError("is no UTF-8; set the terminal to UTF-8, or write it in ASCII")
    return text


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point `kubectl-tandem`."""
    arguments = parser().parse_args(argv)
    try:
        code = asyncio.run(run(arguments))
    except TandemError as error:
        sys.stderr.write(f"kubectl tandem: {error}\n")
        code = 1
    except KeyboardInterrupt:
        code = 130
    raise SystemExit(code)


if __name__ == "__main__":
    main()
