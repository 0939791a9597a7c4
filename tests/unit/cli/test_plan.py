"""`kubectl tandem plan -f`: which documents it asks about, and what it prints."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from tandem.cli.contexts import Clusters
from tandem.cli.main import parser
from tandem.cli.plan import CAN, CANNOT, documents, exit_code, page, question, run
from tandem.errors import ConfigError
from tandem.operator.cluster import ApiError, Cluster
from tests.support.manifests import drill, group, shift, site


def write(path: Path, *manifests: Any) -> str:
    path.write_text(yaml.safe_dump_all(manifests))
    return str(path)


def named(manifest: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {**manifest, "metadata": metadata}


def test_files_folders_and_standard_input_are_read_with_all_their_documents(tmp_path: Path) -> None:
    one = write(tmp_path / "one.yaml", shift("a"), None, shift("b"))
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "2.yml", {"apiVersion": "v1", "kind": "List", "items": [shift("d"), shift("e")]})
    write(folder / "1.json", shift("c"))
    (folder / "notes.txt").write_text("not a manifest")
    found = list(documents([one, str(folder), "-"], lambda: yaml.safe_dump(shift("f"))))
    assert [document["metadata"]["name"] for _, document in found] == ["a", "b", "c", "d", "e", "f"]
    assert found[1][0] == f"{one}, document 2"
    assert found[-1][0] == "standard input"


def test_a_date_without_quotes_is_a_word_as_for_kubectl(tmp_path: Path) -> None:
    file = tmp_path / "order.yaml"
    file.write_text(yaml.safe_dump(group()).replace("metadata:", "metadata:\n  annotations: {tandem.dev/order-id: ID}"))
    file.write_text(file.read_text().replace("ID", "2026-11-29"))
    asked, _ = question(list(documents([str(file)])), "", "mine")
    assert json.loads(json.dumps(asked))[0]["metadata"]["annotations"] == {"tandem.dev/order-id": "2026-11-29"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not YAML"),
        ("just words", "no kind"),
        ("- a", "no kind"),
        ("{kind: List, items: [a]}", "item 1: not a manifest: it has no kind"),
        ("{kind: Shift, metadata: night}", "metadata is 'night'; write name and namespace below it"),
    ],
)
def test_what_is_no_manifest_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"x.yaml.*{words}"):
        list(documents([str(file)]))


def test_a_file_that_is_not_there_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml: No such file"):
        list(documents([str(tmp_path / "missing.yaml")]))
    with pytest.raises(ConfigError, match=r"no \.yaml"):
        list(documents([str(tmp_path)]))


def test_namespaces_are_those_of_kubectl() -> None:
    bare = named(shift(), name="a")
    assert question([("x", bare)], "", "mine")[0][0]["metadata"]["namespace"] == "mine"
    assert question([("x", bare)], "asked", "mine")[0][0]["metadata"]["namespace"] == "asked"
    assert (
        question([("x", named(shift(), name="a", namespace=None))], "", "mine")[0][0]["metadata"]["namespace"] == "mine"
    )
    assert question([("x", shift())], "", "mine")[0][0]["metadata"]["namespace"] == "callcenter"
    with pytest.raises(ConfigError, match="of namespace callcenter, but --namespace says asked"):
        question([("x", shift())], "asked", "mine")


def test_a_generated_name_will_do_for_a_plan() -> None:
    asked, _ = question([("x", named(shift(), generateName="night-"))], "", "mine")
    assert asked[0]["metadata"]["name"] == "night-plan"


def test_what_moves_nobody_is_passed_over_and_told() -> None:
    asked, skipped = question([("a.yaml", site("east")), ("b.yaml", group())], "", "mine")
    assert [one["kind"] for one in asked] == ["AgentGroup"]
    assert skipped == ["Site east: moves nobody by itself, so there is no plan (a.yaml)"]
    with pytest.raises(ConfigError, match="no Shift and no AgentGroup in it\n  Site east"):
        question([("a.yaml", site("east"))], "", "mine")


def test_a_drill_moves_people_by_itself_and_its_plans_come_with_its_runs() -> None:
    _, skipped = question([("a.yaml", drill()), ("b.yaml", shift())], "", "mine")
    (word,) = skipped
    assert word.startswith("Drill monthly: each run is planned when it is due")


def test_another_version_of_our_own_objects_is_a_mistake_and_not_somebody_elses_object() -> None:
    with pytest.raises(ConfigError, match=r"Shift to-west: apiVersion is tandem.dev/v1; write tandem.dev/v1alpha1"):
        question([("a.yaml", group()), ("b.yaml", {**shift(), "apiVersion": "tandem.dev/v1"})], "", "mine")


async def test_a_cluster_that_is_gone_is_asked_last_and_a_program_gets_json_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "x.yaml", site("east"), shift())
    gone, well = FakeCluster(gone=True), FakeCluster()
    assert await run(clusters(east=gone, west=well), [file], "", as_json=True) == CAN
    assert (gone.asked, well.asked) == (0, 1)
    said = capsys.readouterr()
    assert json.loads(said.out) == answer("Planned")
    assert said.err == f"Site east: moves nobody by itself, so there is no plan ({file}, document 1)\n"


def test_everything_that_is_wrong_is_told_at_once_before_anybody_is_asked() -> None:
    found = [("a.yaml", shift(percent=0)), ("b.yaml", named(shift(), namespace="n")), ("c.yaml", shift())]
    with pytest.raises(ConfigError) as error:
        question(found, "", "mine")
    said = str(error.value)
    assert "a.yaml: Shift to-west: spec.percent is 0" in said
    assert "b.yaml: Shift without metadata.name" in said
    assert "c.yaml" not in said
    assert "last good one" not in said


class FakeCluster:
    def __init__(self, *, gone: bool = False) -> None:
        self.gone, self.asked = gone, 0
        self.objects: list[dict[str, Any]] = []

    async def get(self, path: str) -> dict[str, Any]:
        if self.gone:
            raise ApiError("connection refused")
        return {}

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        self.objects = body["objects"]
        return answer("Planned")


def clusters(**named: FakeCluster) -> Clusters:
    found = Clusters(list(named), [Path("nowhere")])
    found._clusters = cast("dict[str, Cluster]", named)
    found._known = {name: {} for name in named}
    return found


def answer(outcome: str, **changes: Any) -> dict[str, Any]:
    plan = {"kind": "Shift", "name": "n/a", "outcome": outcome, "reason": "Held", "message": "ada holds everything"}
    return {"site": "east", "revision": 7, "plans": [{**plan, "notes": [], "plan": [], **changes}]}


def test_the_page_shows_the_plan_line_by_line_and_that_nothing_was_created() -> None:
    found = answer("Planned", plan=["Move about 10 agents.", "Gate: x."], notes=["no engine is coordinator"])
    assert list(page(found, ["Site east: ..."])) == [
        "Site east: ...",
        "Shift n/a: would be accepted now",
        "  Note: no engine is coordinator",
        "  Move about 10 agents.",
        "  Gate: x.",
        "By the operator of east, from the store's revision 7. Nothing was created.",
    ]
    assert list(page(answer("Waits", patience="36m5s")))[:2] == [
        "Shift n/a: would wait for this to pass, for 36m5s at most, and then lapse",
        "  Held: ada holds everything",
    ]
    assert next(page(answer("Waits"))) == "Shift n/a: would wait for this to pass, and then lapse"


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [(["Planned", "Nothing"], CAN), (["Planned", "Refused"], CANNOT), (["Waits"], CANNOT)],
)
def test_the_exit_code_says_whether_all_would_be_accepted(outcomes: list[str], code: int) -> None:
    assert exit_code({"plans": [answer(outcome)["plans"][0] for outcome in outcomes]}) == code


def test_the_command_line_takes_several_files() -> None:
    found = parser().parse_args(["plan", "-f", "a", "-f", "-", "-n", "x", "-o", "json"])
    assert (found.filename, found.namespace, found.output) == (["a", "-"], "x", "json")
    assert found.operator == "tandem-system/tandem-operator"
