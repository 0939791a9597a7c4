"""Starting and stopping: quick the second time, nothing left behind, also after a crash half-way."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from lab import holder
from lab.addresses import LOCATIONS
from lab.interface import COMPONENTS, Lab
from lab.paths import REPOSITORY, RUN, lab_state
from lab.processes import read_pidfile

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

SECOND_START_S = 30.0


@pytest_asyncio.fixture(autouse=True, scope="module", loop_scope="session")
async def up_at_the_end(lab: Lab) -> AsyncIterator[None]:
    """Other modules find the lab as they expect it, whichever of these tests came last."""
    yield
    await lab.up()


def traces() -> list[str]:
    """Whatever a lab could leave, looked for in the machine's own tables and not through the lab's code."""
    found = [name for name in subprocess.check_output(["ip", "netns"], text=True).split() if "tandem" in name]
    links = subprocess.check_output(["ip", "-o", "link"], text=True)
    found += [line for line in links.splitlines() if "tandem" in line]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found += [line for line in mounts if str(lab_state()) in line or str(RUN) in line or "/run/netns/tandem" in line]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob("**/tandem-lab*")]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if "/tandem/lab/" in command or str(RUN) in command or command.startswith(("/pause", "/coredns")):
                found.append(command)
    found += [str(RUN)] if RUN.exists() else []
    return found


def lab_command(*arguments: str, cwd: Path = REPOSITORY) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lab", *arguments],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def pids() -> dict[str, int | None]:
    return {
        f"{city}/{component}": process.pid if (process := read_pidfile(RUN / city / "pids" / component)) else None
        for city in ("east", "west", "witness")
        for component in COMPONENTS
    }


async def test_stopping_leaves_nothing_and_the_next_start_is_quick(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (await lab.status()).healthy
    assert traces(), "or this test could not fail"
    await lab.down()
    assert traces() == []
    assert not (await lab.status()).running
    began = time.monotonic()
    await lab.up()
    took = time.monotonic() - began
    assert (await lab.status()).healthy
    with capsys.disabled():
        print(f"\nsecond start to all nodes Ready and DNS available: {took:.1f} s")
    assert took < SECOND_START_S


async def test_starting_a_whole_lab_changes_nothing(lab: Lab) -> None:
    before = pids()
    await lab.up()
    assert pids() == before


async def test_starting_a_damaged_lab_mends_it(lab: Lab) -> None:
    await lab.faults.kill("west", "kube-scheduler")
    await lab.faults.kill_city("witness")
    await lab.up()
    assert (await lab.status()).healthy


@pytest.mark.parametrize(
    "reached",
    [
        pytest.param(lambda: (RUN / "holder.json").exists(), id="names-just-taken"),
        pytest.param(lambda: Path(f"/run/netns/{LOCATIONS['west'].netns}").exists(), id="network-half-built"),
        pytest.param(lambda: (RUN / "east/pids/kube-apiserver").exists(), id="control-planes-starting"),
        pytest.param(lambda: any(RUN.glob("*/containerd/*/k8s.io/*/rootfs/coredns")), id="pods-running"),
    ],
)
@pytest.mark.parametrize("then", ["down", "up"])
async def test_a_start_killed_half_way_is_cleaned_up(lab: Lab, reached: Callable[[], bool], then: str) -> None:
    await lab.down()
    starting = lab_command("up")
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        assert starting.poll() is None, starting.communicate()[0]
        await asyncio.sleep(0.002)
    os.kill(starting.pid, signal.SIGKILL)
    starting.communicate()
    assert traces(), "or there was nothing to clean up"
    if then == "down":
        await lab.down()
        assert traces() == []
    else:
        await lab.up()
        assert (await lab.status()).healthy


async def test_a_second_lab_is_told_who_holds_the_names(lab: Lab, tmp_path: Path) -> None:
    await lab.up()
    shutil.copytree(REPOSITORY / "lab", tmp_path / "lab")
    before = pids()
    record = holder.read()
    assert record is not None
    for command in ("up", "down"):
        second = lab_command(command, cwd=tmp_path)
        said, _ = await asyncio.to_thread(second.communicate, None, 60)
        assert second.returncode == 1
        assert "names are held by" in said
        assert f"the lab of {REPOSITORY}" in said
        assert f"pid {record.pid}" in said
        assert time.strftime("since %Y-%m-%d %H:%M:%S", time.localtime(record.since)) in said
        assert f"`{record.command}`" in said, "the command that started it"
    assert pids() == before
    assert (await lab.status()).healthy
