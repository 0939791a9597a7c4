"""A process is known by pid and start time; nothing else may ever be signalled."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.processes import (
    ProcessId,
    ProcessState,
    ancestry,
    launch_argv,
    living,
    own_id,
    parse_pidfile,
    parse_stat,
    read_pidfile,
    read_stat,
    send,
    signal_all,
    state_of,
)


@pytest.fixture
def sleeper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["sleep", "60"])


def end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def test_stat_is_read_behind_a_name_with_blanks_and_parentheses() -> None:
    text = "42 (a) b (c d) T 1 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1000 2 18446744073709551615"
    found = parse_stat(text)
    assert (found.state, found.started) == ("T", 987654)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("12 345\n", ProcessId(12, 345), id="whole"),
        pytest.param("", None, id="empty"),
        pytest.param("12", None, id="half-written"),
        pytest.param("12 x", None, id="garbage"),
    ],
)
def test_pidfiles_are_whole_or_nothing(text: str, found: ProcessId | None) -> None:
    assert parse_pidfile(text) == found


def test_no_pidfile_is_no_process(tmp_path: Path) -> None:
    assert read_pidfile(tmp_path / "none") is None
    assert state_of(None) is ProcessState.DEAD


def test_a_reused_pid_is_another_process(sleeper: "subprocess.Popen[bytes]") -> None:
    stat = read_stat(sleeper.pid)
    assert stat is not None
    stranger = ProcessId(sleeper.pid, stat.started - 1)
    try:
        assert state_of(stranger) is ProcessState.DEAD
        assert send(stranger, signal.SIGKILL) is False
        assert sleeper.poll() is None, "it still lives"
        assert send(ProcessId(sleeper.pid, stat.started), signal.SIGKILL) is True
        assert sleeper.wait() == -signal.SIGKILL
    finally:
        end(sleeper)


def test_frozen_and_dead_are_told_apart(sleeper: "subprocess.Popen[bytes]") -> None:
    stat = read_stat(sleeper.pid)
    assert stat is not None
    process = ProcessId(sleeper.pid, stat.started)
    try:
        assert state_of(process) is ProcessState.RUNNING
        sleeper.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WNOWAIT)
        assert state_of(process) is ProcessState.FROZEN
        sleeper.kill()
        os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
        assert state_of(process) is ProcessState.DEAD, "a zombie does nothing any more"
        assert living([sleeper.pid]) == []
    finally:
        end(sleeper)


@pytest.mark.parametrize("astray", [1, os.getpid(), os.getppid()], ids=["init", "ourselves", "our-parent"])
def test_whoever_collected_the_wrong_pids_signals_nobody(sleeper: "subprocess.Popen[bytes]", astray: int) -> None:
    try:
        with pytest.raises(LabError, match="not the lab's"):
            signal_all([sleeper.pid, astray], signal.SIGCONT)
    finally:
        end(sleeper)


def test_ancestry_reaches_the_first_process() -> None:
    assert {os.getpid(), os.getppid()} <= ancestry()
    assert own_id().pid == os.getpid()


def test_the_launcher_joins_groups_writes_the_pidfile_and_becomes_the_program(tmp_path: Path) -> None:
    """With the machine's own namespace and a plain file for a control group: no root is needed."""
    group = tmp_path / "group"
    group.mkdir()
    pidfile, log, tools = tmp_path / "pid", tmp_path / "log", tmp_path / "bin"
    tools.mkdir()
    (tools / "nsenter").write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    (tools / "nsenter").chmod(0o755)
    argv = launch_argv(
        ["sh", "-c", "echo $$ said"], netns_path="/proc/self/ns/net", groups=[group], log=log, pidfile=pidfile
    )
    process = subprocess.Popen(argv, env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"})
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        stat = read_stat(process.pid)  # its zombie's: nobody has reaped it yet
        assert stat is not None
        assert read_pidfile(pidfile) == ProcessId(process.pid, stat.started)
        assert (group / "cgroup.procs").read_text() == f"{process.pid}\n"
        assert log.read_text() == f"{process.pid} said\n"
    finally:
        end(process)
