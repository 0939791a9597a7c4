"""The CRDs come from the models, and hold nothing that a structural schema cannot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from tandem.api.common import immutable
from tandem.api.crd import CHART_COPY, SchemaError, crd, differences, documents, structural, write
from tandem.api.resources import RESOURCES, Resource
from tandem.api.shift import Selector

REPOSITORY = Path(__file__).resolve().parents[3]


def nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], path + mark)


def everything() -> list[Any]:
    found = []
    for resource in RESOURCES:
        definition: dict[str, Any] = crd(resource)
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for part in ("spec", "status"):
            for path, node in nodes(schema["properties"][part], f"{resource.kind}.{part}"):
                found.append(pytest.param(path, node, id=path))
    return found


def test_the_files_are_current() -> None:
    assert differences(REPOSITORY / "crds") == []


def test_the_chart_carries_the_same_files(tmp_path: Path) -> None:
    write(tmp_path / "crds")
    own = {path.name: path.read_text() for path in (tmp_path / "crds").iterdir()}
    assert {path.name: path.read_text() for path in (tmp_path / CHART_COPY).iterdir()} == own == documents()


@pytest.mark.parametrize("spoil", ["missing", "changed", "foreign"])
def test_a_file_that_differs_is_named(tmp_path: Path, spoil: str) -> None:
    write(tmp_path / "crds")
    victim = tmp_path / "crds" / "sites.tandem.dev.yaml"
    if spoil == "missing":
        victim.unlink()
    elif spoil == "changed":
        victim.write_text(victim.read_text() + "\n")
    else:
        victim = victim.with_name("towns.tandem.dev.yaml")
        victim.write_text("kind: Town\n")
    (found,) = differences(tmp_path / "crds")
    assert victim.name in found


@pytest.mark.parametrize(("path", "node"), everything())
def test_every_field_is_structural_and_described(path: str, node: dict[str, Any]) -> None:
    assert node["type"] in ("object", "array", "string", "integer", "boolean")
    assert not {"$ref", "anyOf", "title", "$defs"} & node.keys()
    assert node.get("additionalProperties") is not False
    assert "default" not in node or node["default"] is not None
    if not path.endswith(("[]", "{}")):
        assert node["description"]
    if node.get("x-kubernetes-list-type") == "map":
        items = node["items"]
        for key in node["x-kubernetes-list-map-keys"]:
            assert key in items["required"], f"{path}: a key of a list-map is required"
    for rule in node.get("x-kubernetes-validations", []):
        assert rule.get("message") or rule.get("messageExpression"), f"{path}: a rule without a message"


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_every_column_shows_a_field_that_exists(resource: Resource) -> None:
    document = yaml.safe_load(documents()[f"{resource.crd}.yaml"])
    version = document["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    for column in version["additionalPrinterColumns"]:
        path = column["jsonPath"].split("[?")[0].removeprefix(".").split(".")
        if path[0] == "metadata":
            continue
        node = {"properties": properties}
        for name in path:
            node = node["properties"][name]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_status_has_no_defaults(resource: Resource) -> None:
    assert not [path for path, node in nodes(structural(resource.status, defaults=False), "") if "default" in node]


class _Frozen(BaseModel):
    """A type that has rules, at a field that has one more."""

    selector: Selector = Field(description="Which groups.", json_schema_extra=immutable("make a new one"))


def test_rules_of_a_type_and_of_the_field_that_has_it_add_up() -> None:
    frozen: dict[str, Any] = structural(_Frozen)
    rules = [rule["rule"] for rule in frozen["properties"]["selector"]["x-kubernetes-validations"]]
    selector: dict[str, Any] = structural(Selector)
    (own,) = selector["x-kubernetes-validations"]
    assert own["rule"] in rules
    assert "self == oldSelf" in rules


class _Float(BaseModel):
    model_config = ConfigDict(extra="forbid")
    share: float = Field(description="A share.")


class _Several(BaseModel):
    value: int | str = Field(description="Anything.")


class _Silent(BaseModel):
    value: int


@pytest.mark.parametrize(
    ("model", "said"),
    [
        pytest.param(_Float, "_Float.share: floats", id="float"),
        pytest.param(_Several, "_Several.value: a structural schema cannot say", id="several-types"),
        pytest.param(_Silent, "_Silent.value: needs a description", id="no-description"),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_name(model: type[BaseModel], said: str) -> None:
    class Spec(BaseModel):
        """A spec."""

    with pytest.raises(SchemaError) as refused:
        structural(model)
    assert said in str(refused.value)
