"""Reading a Dockerfile as far as needed to know what goes into an image. Pure, but for reading the files it names."""

import hashlib
import json
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from lab.errors import BuildError

IGNORED: Final = frozenset({"__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
"""Folders that `.dockerignore` keeps out of builds, so they do not count for the key either."""


@dataclass(frozen=True)
class Dockerfile:
    """What a Dockerfile takes from outside."""

    bases: tuple[str, ...]
    """Images after FROM that are no earlier stage; `scratch` is left out."""
    sources: tuple[str, ...]
    """Paths or patterns, relative to the context, of every COPY and ADD that is not from a stage."""


def parse(text: str) -> Dockerfile:
    """Take FROM, COPY and ADD apart. Raises BuildError for a form that cannot be known before the build."""
    stages: set[str] = set()
    bases: list[str] = []
    sources: list[str] = []
    for instruction, rest in _instructions(text):
        words = _words(rest)
        options = [word for word in words if word.startswith("--")]
        words = [word for word in words if not word.startswith("--")]
        if instruction == "FROM":
            if words[0] != "scratch" and words[0] not in stages:
                bases.append(words[0])
            if len(words) == 3 and words[1].upper() == "AS":
                stages.add(words[2])
        elif instruction in ("COPY", "ADD") and not any(option.startswith("--from=") for option in options):
            for word in words[:-1]:
                if "$" in word or "://" in word:
                    raise BuildError(
                        f"`{instruction} {rest}`: the lab cannot tell what {word} holds; name a plain path"
                    )
                sources.append(word)
    return Dockerfile(bases=tuple(dict.fromkeys(bases)), sources=tuple(dict.fromkeys(sources)))


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    pending = ""
    for line in lines:
        if line.rstrip().endswith("\\"):
            pending += line.rstrip()[:-1] + " "
            continue
        instruction, _, rest = (pending + line).strip().partition(" ")
        pending = ""
        if instruction:
            yield instruction.upper(), rest.strip()


def _words(rest: str) -> list[str]:
    if "[" in rest and rest.endswith("]"):
        options, _, array = rest.partition("[")
        return [*options.split(), *json.loads("[" + array)]
    return shlex.split(rest)


def files(context: Path, sources: Iterable[str]) -> list[Path]:
    """Every file that the sources name, sorted, relative to `context`. Raises BuildError for a source without any."""
    found: set[Path] = set()
    for source in sources:
        pattern = str(PurePosixPath(source.lstrip("/")))
        matches = [context] if pattern == "." else sorted(context.glob(pattern))
        if not matches:
            raise BuildError(f"the Dockerfile copies {source}, which does not exist")
        for match in matches:
            found.update(_tree(match))
    return sorted(path.relative_to(context) for path in found)


def _tree(path: Path) -> Iterator[Path]:
    if path.name in IGNORED or path.suffix == ".pyc":
        return
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            yield from _tree(child)
    else:
        yield path


def content_key(context: Path, dockerfile: Path, extra: Iterable[str]) -> str:
    """Sixteen hexadecimal digits: of the Dockerfile, each file it copies (name, content, x bit) and `extra`."""
    text = dockerfile.read_text()
    digest = hashlib.sha256(text.encode())
    for word in extra:
        digest.update(b"\0" + word.encode())
    for relative in files(context, parse(text).sources):
        path = context / relative
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        digest.update(f"\0{relative}\0{path.lstat().st_mode & 0o111}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]
