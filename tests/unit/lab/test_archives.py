"""Image archives that containerd takes, made and read without an engine."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lab.archives import full_name, manifest_digest, write_scratch_image


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("tandem/operator:dev", "docker.io/tandem/operator:dev"),
        ("debian:bookworm-slim", "docker.io/library/debian:bookworm-slim"),
        ("debian", "docker.io/library/debian:latest"),
        ("tandem.dev/lab/pause:1", "tandem.dev/lab/pause:1"),
        ("localhost/x", "localhost/x:latest"),
        ("host:5000/x:1", "host:5000/x:1"),
    ],
)
def test_names_are_those_that_containerd_keeps(name: str, full: str) -> None:
    assert full_name(name) == full


def blob(archive: Path, digest: str) -> bytes:
    with tarfile.open(archive) as tar:
        member = tar.extractfile("blobs/sha256/" + digest.removeprefix("sha256:"))
        assert member is not None
        return member.read()


def test_an_image_of_one_binary_is_whole(tmp_path: Path) -> None:
    binary = tmp_path / "pause"
    binary.write_bytes(b"\x7fELF and so on")
    archive = tmp_path / "image.tar"
    write_scratch_image(archive, "tandem.dev/lab/pause:1", {"/pause": binary}, ["/pause"])

    digest = manifest_digest(archive)
    manifest: dict[str, Any] = json.loads(blob(archive, digest))
    config = json.loads(blob(archive, manifest["config"]["digest"]))
    layer = blob(archive, manifest["layers"][0]["digest"])
    assert digest == "sha256:" + hashlib.sha256(blob(archive, digest)).hexdigest()
    assert config["config"]["Entrypoint"] == ["/pause"]
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        entry = tar.getmember("pause")
        assert entry.mode & 0o111
        member = tar.extractfile(entry)
        assert member is not None
        assert member.read() == binary.read_bytes()


def test_the_same_binary_gives_the_same_digest_and_another_one_another(tmp_path: Path) -> None:
    digests = []
    for number, content in enumerate((b"one", b"one", b"two")):
        binary = tmp_path / f"binary-{number}"
        binary.write_bytes(content)
        archive = tmp_path / f"{number}.tar"
        write_scratch_image(archive, "x/y:1", {"/b": binary}, ["/b"])
        digests.append(manifest_digest(archive))
    assert digests[0] == digests[1] != digests[2]
