"""Ports for what a test starts.

They lie below the range from which the kernel takes the ports of outgoing connections, and each worker of pytest has
its own share of them: between choosing a port and listening on it nobody else takes it.
"""

import itertools
import os
import socket
from typing import Final

_FIRST: Final = 12_000
_PER_WORKER: Final = 2_000
_WORKERS: Final = 10
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = itertools.cycle(range(_PER_WORKER))


def free_port(ip: str = "127.0.0.1", kind: int = socket.SOCK_STREAM) -> int:
    """A port of `ip` that nobody listens on now, and that no other call returns soon."""
    for offset in itertools.islice(_ports, _PER_WORKER):
        port = _FIRST + _worker % _WORKERS * _PER_WORKER + offset
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((ip, port))
            except OSError:
                continue
            return port
    raise AssertionError(f"all ports of worker {_worker} are taken")
