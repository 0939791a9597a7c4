"""Wall clocks of single processes, stepped while they run.

A process asks for the time without a system call, by code that the kernel maps into it (the vDSO). That code is private
to the process once it is written to, so it can be replaced in one process alone: by the system call and an addition.
Only CLOCK_REALTIME is touched; monotonic clocks, and everybody else's, go on as they are. A process that is started
anew has the machine's clock again.
"""

import contextlib
import os
import platform
import signal
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from lab.errors import DeadlineError, NeedsError

STOPS_WITHIN_S: Final = 2.0

_DYNSYM: Final = 11
"""ELF section type of the symbols that programs look up."""


def _clock_gettime(seconds: int) -> bytes:
    # mov eax, 228; syscall; test eax, eax; jne end; test edi, edi; jne end; add [rsi], seconds; end: ret
    # edi is the clock that was asked for; CLOCK_REALTIME is 0.
    return bytes.fromhex("b8e4000000 0f05 85c0 750b 85ff 7507 488106") + struct.pack("<i", seconds) + b"\xc3"


def _gettimeofday(seconds: int) -> bytes:
    # mov eax, 96; syscall; test eax, eax; jne end; test rdi, rdi; je end; add [rdi], seconds; end: ret
    return bytes.fromhex("b860000000 0f05 85c0 750c 4885ff 7407 488107") + struct.pack("<i", seconds) + b"\xc3"


def _time(seconds: int) -> bytes:
    # mov eax, 201; syscall; add rax, seconds; test rdi, rdi; je end; mov [rdi], rax; end: ret
    return bytes.fromhex("b8c9000000 0f05 4805") + struct.pack("<i", seconds) + bytes.fromhex("4885ff 7403 488907 c3")


_CODE: Final[Mapping[str, Callable[[int], bytes]]] = {
    "__vdso_clock_gettime": _clock_gettime,
    "__vdso_gettimeofday": _gettimeofday,
    "__vdso_time": _time,
}


def step(pid: int, seconds: int) -> None:
    """Set a process's wall clock forward (or back) by this many seconds against the machine's; 0: as the machine's.

    Raises: NeedsError on a machine that is no x86-64; DeadlineError when it cannot be brought to stand outside of
    the code that is replaced; ProcessLookupError when it is gone.
    """
    pristine, symbols = _own()
    codes = {
        offset: _CODE[name](seconds) if seconds else pristine[offset : offset + len(_CODE[name](0))]
        for name, offset in symbols.items()
    }
    start, end = _vdso(pid)
    stood = any(_standing(pid))
    try:
        _bring_to_stand(pid, range(start, end))
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            for offset, code in codes.items():
                memory.seek(start + offset)
                memory.write(code)
    finally:
        if not stood:
            os.kill(pid, signal.SIGCONT)


def stepped(pid: int) -> bool:
    """Whether this process has a wall clock of its own; False for one that is gone."""
    pristine, symbols = _own()
    offset = symbols["__vdso_clock_gettime"]
    length = len(_clock_gettime(0))
    try:
        start, end = _vdso(pid)
        if end - start != len(pristine):
            return False  # a 32-bit program's is another one
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(start + offset)
            return memory.read(length) != pristine[offset : offset + length]
    except OSError:
        return False


def all_stepped(pids: Iterable[int]) -> set[int]:
    """Those of these processes that have a wall clock of their own."""
    return {pid for pid in pids if stepped(pid)}


@cache
def _own() -> tuple[bytes, Mapping[str, int]]:
    """This process's own code, which is everybody's as long as nobody has changed it, and where its functions begin."""
    if platform.machine() != "x86_64":
        raise NeedsError(f"stepping a process's clock is written for x86-64, and this machine is {platform.machine()}")
    start, end = _vdso(os.getpid())
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        memory.seek(start)
        image = memory.read(end - start)
    return image, {name: offset for name, offset in symbols_of(image).items() if name in _CODE}


def symbols_of(image: bytes) -> dict[str, int]:
    """Name -> offset of the functions of an ELF image that is mapped as one piece."""
    table, size, count = *struct.unpack_from("<Q", image, 0x28), *struct.unpack_from("<HH", image, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", image, table + number * size) for number in range(count)]
    found = {}
    for _, kind, _, _, offset, length, strings, *_ in sections:
        for entry in range(offset, offset + length, 24) if kind == _DYNSYM else ():
            name, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", image, entry)
            text = sections[strings][4] + name
            found[image[text : image.index(b"\0", text)].decode()] = value
    return found


def _vdso(pid: int) -> tuple[int, int]:
    """Where it lies in a process. Raises OSError (ProcessLookupError) for one that has none any more."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if line.endswith("[vdso]"):
            start, _, end = line.split()[0].partition("-")
            return int(start, 16), int(end, 16)
    raise ProcessLookupError(f"process {pid} is gone, or none of the usual kind")


def _standing(pid: int) -> list[bool]:
    """Of each thread, whether it stands still by a signal. They do not all stop in one moment."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.append((task / "stat").read_text().rpartition(")")[2].split()[0] in "Tt")
    return found


def _bring_to_stand(pid: int, forbidden: range) -> None:
    """Stop a process with no thread inside the code that is about to change."""
    deadline = time.monotonic() + STOPS_WITHIN_S
    while True:
        os.kill(pid, signal.SIGSTOP)
        while not all(_standing(pid)):
            if time.monotonic() > deadline:
                raise DeadlineError(f"process {pid} does not come to stand")
            time.sleep(0.001)
        if not any(at in forbidden for at in _program_counters(pid)):
            return
        os.kill(pid, signal.SIGCONT)
        if time.monotonic() > deadline:
            raise DeadlineError(f"process {pid} is always asking for the time")
        time.sleep(0.002)


def _program_counters(pid: int) -> list[int]:
    """Where each thread of a stopped process will go on."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        words = (task / "syscall").read_text().split()  # the last of several is the program counter
        if len(words) > 1:
            found.append(int(words[-1], 16))
    return found
