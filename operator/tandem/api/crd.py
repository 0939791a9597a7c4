"""Writes the CustomResourceDefinitions from the pydantic models: `python -m tandem.api.crd --out crds`.

Kubernetes wants *structural* schemas: no `$ref`, no `anyOf` with null, no `additionalProperties: false`. The chart
carries the same files, because Helm reads only what lies below the chart; `--check` compares both.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, JsonValue

from tandem.api.common import GROUP, VERSION
from tandem.api.resources import RESOURCES, Column, Resource

CHART_COPY: Final = Path("charts/tandem/files/crds")
"""Where the chart keeps its copy, from the folder above `crds`."""

_HEADER: Final = "# Written by `make crds` from operator/tandem/api; do not edit.\n"
_DROPPED: Final = frozenset({"title", "additionalProperties", "$defs"})

_RULES: Final = "x-kubernetes-validations"

Schema = dict[str, JsonValue]


class SchemaError(Exception):
    """A model says something that a structural schema cannot."""


def crd(resource: Resource) -> Schema:
    """The CustomResourceDefinition of one kind, as data."""
    names: Schema = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.singular,
        "categories": ["tandem"],
    }
    if short := [name for name in resource.short_names if name != resource.singular]:
        names["shortNames"] = list(short)
    schema: Schema = {
        "type": "object",
        "description": resource.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "API group and version."},
            "kind": {"type": "string", "description": "Kind of the object."},
            "metadata": {"type": "object"},
            "spec": structural(resource.spec),
            "status": structural(resource.status, defaults=False),
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": resource.crd,
            "labels": {"app.kubernetes.io/name": "tandem", "app.kubernetes.io/component": "crd"},
            # An uninstall of the chart must not sign anybody out: Helm leaves these in place.
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in resource.columns],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def _column(column: Column) -> Schema:
    found: Schema = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        found["description"] = column.description
    if column.wide:
        found["priority"] = 1
    return found


def structural(model: type[BaseModel], *, defaults: bool = True) -> Schema:
    """The model's schema in the form that Kubernetes accepts.

    Args:
        defaults: False leaves the defaults out, as fits a status: what was not reported must not look as if it had
            been.
    Raises: SchemaError naming the field that cannot be expressed.
    """
    raw = model.model_json_schema(by_alias=True)
    definitions = raw.get("$defs", {})
    return _convert(raw, definitions, model.__name__, defaults)


def _convert(node: Schema, definitions: dict[str, Schema], path: str, defaults: bool) -> Schema:
    node = _resolve(node, definitions, path)
    found: Schema = {}
    for key, value in node.items():
        if key in _DROPPED or (key == "default" and (value is None or not defaults)):
            continue
        if key == "properties":
            assert isinstance(value, dict)
            found[key] = {
                name: _convert(_schema(child), definitions, f"{path}.{name}", defaults) for name, child in value.items()
            }
        elif key == "items":
            found[key] = _convert(_schema(value), definitions, f"{path}[]", defaults)
        else:
            found[key] = _said(value) if key == "default" else value
    _check(found, path)
    extra = node.get("additionalProperties")
    if isinstance(extra, dict):
        found["additionalProperties"] = _convert(extra, definitions, f"{path}{{}}", defaults)
    if found.get("type") == "integer":
        found["format"] = "int64"
    return found


def _said(value: JsonValue) -> JsonValue:
    """A default without its nulls, which the API server takes for wrong values."""
    if isinstance(value, dict):
        return {key: _said(inner) for key, inner in value.items() if inner is not None}
    return value


def _resolve(node: Schema, definitions: dict[str, Schema], path: str) -> Schema:
    """Replace `$ref` and optional `anyOf` by what they stand for.

    The field's own words win over the type's, but rules add up.
    """
    options = node.get("anyOf")
    if isinstance(options, list):
        kept = [option for option in options if _schema(option).get("type") != "null"]
        if len(kept) != 1:
            raise SchemaError(f"{path}: a structural schema cannot say 'one of several types'")
        node = {**_schema(kept[0]), **{key: value for key, value in node.items() if key != "anyOf"}}
    reference = node.get("$ref")
    if isinstance(reference, str):
        target = definitions[reference.rpartition("/")[2]]
        merged = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        if both := [*_rules(target), *_rules(node)]:
            merged[_RULES] = both
        return _resolve(merged, definitions, path)
    return node


def _rules(node: Schema) -> list[JsonValue]:
    found = node.get(_RULES, [])
    return found if isinstance(found, list) else []


def _check(node: Schema, path: str) -> None:
    kind = node.get("type")
    if kind == "number":
        raise SchemaError(f"{path}: floats are not comparable across writers; use an integer or a duration")
    if kind is None:
        raise SchemaError(f"{path}: has no type")
    if "description" not in node and not path.endswith(("[]", "{}")):
        raise SchemaError(f"{path}: needs a description")


def _schema(value: JsonValue) -> Schema:
    if not isinstance(value, dict):
        raise SchemaError(f"not a schema: {value!r}")
    return value


def documents() -> dict[str, str]:
    """File name -> YAML text of every CRD."""
    return {
        f"{resource.crd}.yaml": _HEADER + yaml.safe_dump(crd(resource), sort_keys=False, width=110)
        for resource in RESOURCES
    }


def write(folder: Path) -> None:
    """Write `folder` and the chart's copy beside it."""
    for target in _targets(folder):
        target.mkdir(parents=True, exist_ok=True)
        for stale in set(target.glob("*.yaml")) - {target / name for name in documents()}:
            stale.unlink()
        for name, text in documents().items():
            (target / name).write_text(text)


def differences(folder: Path) -> list[str]:
    """Files in `folder` or the chart's copy that are missing, changed, or should not be there."""
    wanted = documents()
    found: list[str] = []
    for target in _targets(folder):
        present = {path.name: path.read_text() for path in sorted(target.glob("*.yaml"))}
        found += [f"{target / name}: missing" for name in wanted if name not in present]
        found += [f"{target / name}: nobody knows it" for name in present if name not in wanted]
        found += [f"{target / name}: differs" for name in wanted if name in present and present[name] != wanted[name]]
    return found


def _targets(folder: Path) -> tuple[Path, Path]:
    return folder, folder.resolve().parent / CHART_COPY


def main() -> None:
    """Command line: `--out FOLDER` writes, `--check FOLDER` compares (exit code 1 when they differ)."""
    parser = argparse.ArgumentParser(prog="python -m tandem.api.crd", description=__doc__)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--out", type=Path, metavar="FOLDER", help="write the CRDs here and into the chart")
    choice.add_argument("--check", type=Path, metavar="FOLDER", help="say whether they are current")
    arguments = parser.parse_args()
    if arguments.out:
        write(arguments.out)
        return
    if found := differences(arguments.check):
        sys.stderr.write("\n".join(found) + "\nThe CRDs are not current: run `make crds`.\n")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
