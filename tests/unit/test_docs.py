"""The documentation names what there is: links, files, tests, make targets and command lines."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from lab.cli import _parser as lab_parser
from tandem.cli.main import parser as tandem_parser

REPOSITORY: Final = Path(__file__).resolve().parents[2]
TOP: Final = ("*.md", "charts/**/*.md", "docs/**/*.md", "examples/**/*.md", "tests/**/*.md")
PAGES: Final = sorted({page.relative_to(REPOSITORY) for pattern in TOP for page in REPOSITORY.glob(pattern)})
OUTSIDE: Final = ("http://", "https://")

ROOTS: Final = ("", "operator/tandem", "examples/callcenter", "examples/callcenter/callcenter/session")
"""Below which of these a path of ARCHITECTURE.md lies, as that page says."""


def page(name: Path | str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """What the headings of a page are called in links, as GitHub makes it."""
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


PROGRAMS: Final = {"kubectl tandem ": tandem_parser, "python -m lab ": lab_parser}


def commands(text: str) -> Iterator[str]:
    """Command lines of our own programs in the code blocks of a page, without prompts and redirections."""
    for block in re.findall(r"^ *```\w*\n(.*?)```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            for part in re.split(r" && |; | > ", line.partition(" # ")[0]):
                if (command := part.strip().removeprefix("$ ")).startswith(tuple(PROGRAMS)):
                    yield command


def trouble(command: str) -> str:
    """What is wrong with a command line; empty when nothing is."""
    start = next(start for start in PROGRAMS if command.startswith(start))
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            PROGRAMS[start]().parse_args(shlex.split(command.removeprefix(start)))
        except SystemExit:
            return said.getvalue().strip()
    return ""


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_every_link_leads_somewhere(name: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page(name)):
        if link.startswith(OUTSIDE):
            continue
        path, _, anchor = link.partition("#")
        target = (REPOSITORY / name.parent / path).resolve() if path else REPOSITORY / name
        assert target.exists(), f"{name}: {link}"
        if anchor:
            assert anchor in anchors(page(target)), f"{name}: {link}"


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_every_command_line_is_one(name: Path) -> None:
    assert not [(command, wrong) for command in commands(page(name)) if (wrong := trouble(command))]


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", page("Makefile"), re.MULTILINE))
    named = {(str(name), word) for name in PAGES for word in re.findall(r"`make ([a-z][a-z0-9-]*)", page(name))}
    assert not {(name, word) for name, word in named if word not in targets}


def test_every_module_that_the_architecture_names_exists_and_has_what_is_said() -> None:
    text = page("docs/ARCHITECTURE.md")
    found = re.findall(r"`([\w/-]+\.(?:py|yaml))`(?: \(((?:`\w+`(?:, )?)+)\))?", text)
    assert found
    for path, names in found:
        file = next((one for root in ROOTS if (one := REPOSITORY / root / path).is_file()), None)
        assert file is not None, path
        assert not [name for name in re.findall(r"\w+", names) if not re.search(rf"\b{name}\b", page(file))], path


def test_the_map_of_the_code_has_every_rule() -> None:
    text = page("docs/ARCHITECTURE.md").partition("## Map of the code")[2].partition("  engine/ ")[0]
    families = ("drill_", "history_", "report_")
    rules = {file.stem for file in (REPOSITORY / "operator/tandem/domain").glob("*.py")} - {"__init__"}
    assert not {rule for rule in rules if not rule.startswith(families) and not re.search(rf"\b{rule}\b", text)}


def test_every_test_that_caught_a_mutation_is_still_there() -> None:
    tests: dict[str, str] = {}
    for file in (REPOSITORY / "tests").rglob("test_*.py"):
        tests[file.name] = tests.get(file.name, "") + file.read_text(encoding="utf-8")
    found = re.findall(r"`(test_\w+\.py)::(test_\w+)", page("tests/unit/domain/MUTATIONS.md"))
    assert found
    assert not [(file, name) for file, name in found if f"def {name}(" not in tests.get(file, "")]
