"""What goes into an image decides its key; nothing else does."""

from pathlib import Path

import pytest

from lab import dockerfiles
from lab.errors import BuildError

TEXT = """\
# syntax comment
FROM debian:bookworm-slim AS build
RUN apt-get update \\
 && apt-get install -y gcc
COPY --chown=0:0 src/ pyproject.toml /app/
ADD ["with space.txt", "/app/"]
FROM build AS second
COPY --from=build /app /app
FROM scratch
COPY data/*.json /data/
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    for name, text in {
        "Dockerfile": TEXT,
        "src/main.py": "print()",
        "src/__pycache__/main.pyc": "x",
        "pyproject.toml": "[project]",
        "with space.txt": "s",
        "data/a.json": "{}",
        "data/notes.txt": "n",
        "other.txt": "o",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def key(context: Path, *extra: str) -> str:
    return dockerfiles.content_key(context, context / "Dockerfile", extra)


def test_bases_and_sources_are_read() -> None:
    found = dockerfiles.parse(TEXT)
    assert found.bases == ("debian:bookworm-slim",)
    assert found.sources == ("src/", "pyproject.toml", "with space.txt", "data/*.json")


def test_files_are_those_that_are_copied(context: Path) -> None:
    found = dockerfiles.files(context, dockerfiles.parse(TEXT).sources)
    assert [str(path) for path in found] == ["data/a.json", "pyproject.toml", "src/main.py", "with space.txt"]


@pytest.mark.parametrize("name", ["src/main.py", "pyproject.toml", "with space.txt", "data/a.json", "Dockerfile"])
def test_the_key_changes_with_what_goes_in(context: Path, name: str) -> None:
    before = key(context)
    path = context / name
    path.write_text(path.read_text() + "\n# changed\n")
    assert key(context) != before


def test_the_key_changes_with_a_new_file_a_moved_one_and_an_x_bit(context: Path) -> None:
    keys = [key(context)]
    (context / "src/new.py").write_text("")
    keys.append(key(context))
    (context / "src/new.py").rename(context / "src/newer.py")
    keys.append(key(context))
    (context / "src/newer.py").chmod(0o755)
    keys.append(key(context))
    keys.append(key(context, "another base"))
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", ["other.txt", "data/notes.txt", "src/__pycache__/main.pyc"])
def test_the_key_stays_when_something_else_changes(context: Path, name: str) -> None:
    before = key(context)
    (context / name).write_text("changed")
    assert key(context) == before


def test_a_source_that_is_missing_is_named(context: Path) -> None:
    (context / "pyproject.toml").unlink()
    with pytest.raises(BuildError, match=r"pyproject\.toml"):
        key(context)


def test_a_source_that_cannot_be_known_is_refused() -> None:
    with pytest.raises(BuildError, match="plain path"):
        dockerfiles.parse("FROM scratch\nCOPY $WHAT /\n")
