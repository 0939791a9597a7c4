"""`kubectl tandem plan -f` or `-k`: what Shifts and changed orders would do, against live state; nothing is created.

The operator of the first cluster that answers makes the plans, by the rules by which the coordinator decides; it is
asked through that cluster's API server, which decides who may ask.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tandem.api.common import API_VERSION, GROUP
from tandem.api.resources import AGENT_GROUP, BY_KIND, DRILL, SHIFT
from tandem.cli.contexts import Clusters, prompt_first
from tandem.cli.kustomize import built
from tandem.errors import ConfigError
from tandem.operator.cluster import ApiError, RefusedError
from tandem.operator.objects import STAYS_IN_FORCE, parse

DEFAULT_OPERATOR: Final = "tandem-system/tandem-operator"
"""Namespace and name of the operator's Service, as the chart makes them for a release called `tandem`."""

PORT: Final = "plan"
_ENDINGS: Final = (".yaml", ".yml", ".json")

CAN: Final = 0
CANNOT: Final = 1
UNKNOWN: Final = 2
"""Exit codes: everything would be accepted now; something would not; nobody could say."""

_NOBODY: Final = "moves nobody by itself, so there is no plan"
_LATER: Final = "each run is planned when it is due, from where the agents are then, so there is no plan now"

Json = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """As kubectl reads it: a date is a word, for JSON knows no dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def documents(files: Sequence[str], read: Callable[[], str] = sys.stdin.read) -> Iterator[tuple[str, Json]]:
    """Where each document stands, and the document. `-` is standard input; of a folder, its YAML and JSON files.

    Raises: ConfigError naming the file.
    """
    for name in files:
        if name == "-":
            yield from _parsed("standard input", read())
            continue
        path = Path(name)
        found = sorted(p for p in path.iterdir() if p.suffix in _ENDINGS) if path.is_dir() else [path]
        if not found:
            raise ConfigError(f"{name}: no {', '.join(_ENDINGS)} files in this folder")
        for file in found:
            try:
                text = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{file}: {getattr(error, 'strerror', None) or error}") from error
            yield from _parsed(str(file), text)


def _parsed(where: str, text: str) -> Iterator[tuple[str, Json]]:
    try:
        loaded = [document for document in yaml.load_all(text, _Loader) if document is not None]
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not YAML: {' '.join(str(error).split())}") from error
    for number, document in enumerate(loaded, 1):
        place = f"{where}, document {number}" if len(loaded) > 1 else where
        if isinstance(document, dict) and document.get("kind") == "List":
            for count, item in enumerate(document.get("items") or (), 1):
                yield f"{place}, item {count}", _manifest(f"{place}, item {count}", item)
        else:
            yield place, _manifest(place, document)


def _manifest(place: str, document: object) -> Json:
    if not isinstance(document, dict) or "kind" not in document:
        raise ConfigError(f"{place}: not a manifest: it has no kind")
    if not isinstance(document.get("metadata") or {}, dict):
        raise ConfigError(f"{place}: metadata is {document['metadata']!r}; write name and namespace below it")
    return document


def question(found: Sequence[tuple[str, Json]], namespace: str, default: str) -> tuple[list[Json], list[str]]:
    """What to ask about, with its namespace; and a word on each document of which there is no plan.

    Args:
        namespace: The one that was asked for, or empty.
        default: The context's own.
    Raises: ConfigError for documents that are wrong, all of them in one message.
    """
    asked: list[Json] = []
    skipped: list[str] = []
    wrong: list[str] = []
    for where, document in found:
        kind, metadata = str(document.get("kind")), dict(document.get("metadata") or {})
        name = metadata.get("name") or ""
        version = str(document.get("apiVersion"))
        if kind in BY_KIND and version.partition("/")[0] == GROUP and version != API_VERSION:
            wrong.append(f"{where}: {kind} {name}: apiVersion is {version}; write {API_VERSION}")
            continue
        if version != API_VERSION or kind not in (SHIFT.kind, AGENT_GROUP.kind):
            why = _LATER if (version, kind) == (API_VERSION, DRILL.kind) else _NOBODY
            skipped.append(f"{kind} {name}: {why} ({where})")
            continue
        metadata["namespace"] = own = metadata.get("namespace") or namespace or default
        if not name and metadata.get("generateName"):
            metadata["name"] = name = f"{metadata['generateName']}plan"
        if not name:
            wrong.append(f"{where}: {kind} without metadata.name")
        elif namespace and own != namespace:
            wrong.append(f"{where}: {kind} {name} is of namespace {own}, but --namespace says {namespace}")
        elif problem := parse(BY_KIND[kind], {**document, "metadata": {**metadata, "uid": ""}}).problem:
            wrong.append(f"{where}: {kind} {name}: {problem.removesuffix(STAYS_IN_FORCE)}")
        else:
            asked.append({**document, "metadata": metadata})
    if wrong:
        raise ConfigError("\n  ".join(["what is written is wrong, so nothing was planned:", *wrong]))
    if not asked:
        raise ConfigError("there is no Shift and no AgentGroup in it" + "".join(f"\n  {line}" for line in skipped))
    return asked, skipped


async def run(
    clusters: Clusters,
    files: Sequence[str],
    namespace: str,
    *,
    folders: Sequence[str] = (),
    operator: str = DEFAULT_OPERATOR,
    as_json: bool = False,
) -> int:
    """Print the plans. `folders`: those with a kustomization. Exit code: CAN, CANNOT or UNKNOWN."""
    try:
        found = list(documents(files))
        for folder, text in await built(folders):
            found += _parsed(f"kustomization {folder}", text)
        return await _run(clusters, found, namespace, operator=operator, as_json=as_json)
    except ConfigError as error:
        print(f"kubectl tandem: {error}", file=sys.stderr)
        return UNKNOWN


async def _run(
    clusters: Clusters, found: Sequence[tuple[str, Json]], namespace: str, *, operator: str, as_json: bool
) -> int:
    place, _, service = operator.rpartition("/")
    path = f"/api/v1/namespaces/{place}/services/{service}:{PORT}/proxy/v1/plan"
    for name in await prompt_first(clusters):
        asked, skipped = question(found, namespace, clusters.namespace(name))
        try:
            answer = await clusters[name].post(path, {"objects": asked})
        except RefusedError as error:
            # Another cluster would say the same.
            print(f"cluster {name}: {error}", file=sys.stderr)
            return UNKNOWN
        except ApiError as error:
            print(f"cluster {name}: {error}; trying the next one", file=sys.stderr)
            continue
        if as_json:
            print(json.dumps(answer, indent=2))
            for line in skipped:
                print(line, file=sys.stderr)
        else:
            print("\n".join(page(answer, skipped)))
        return exit_code(answer)
    print(
        "no cluster's operator could be asked; --operator names its Service, --contexts the clusters", file=sys.stderr
    )
    return UNKNOWN


def page(answer: Mapping[str, Any], skipped: Sequence[str] = ()) -> Iterator[str]:
    """The answer for people."""
    for line in skipped:
        yield line
    for one in answer["plans"]:
        yield f"{one['kind']} {one['name']}: {_headline(one)}"
        if one["outcome"] != "Planned":
            yield f"  {one['reason']}: {one['message']}"
        for note in one["notes"]:
            yield f"  Note: {note}"
        for line in one["plan"]:
            yield f"  {line}"
    yield f"By the operator of {answer['site']}, from the store's revision {answer['revision']}. Nothing was created."


_HEADLINES: Final[Mapping[str, str]] = {
    "Planned": "would be accepted now",
    "Nothing": "would move nobody",
    "Refused": "would be refused",
}


def _headline(one: Mapping[str, Any]) -> str:
    if one["outcome"] != "Waits":
        return _HEADLINES[one["outcome"]]
    patience = one.get("patience")  # an operator of an earlier version does not say
    return f"would wait for this to pass{f', for {patience} at most' if patience else ''}, and then lapse"


def exit_code(answer: Mapping[str, Any]) -> int:
    """CAN when all would be accepted, else CANNOT."""
    return CAN if all(one["outcome"] in ("Planned", "Nothing") for one in answer["plans"]) else CANNOT
