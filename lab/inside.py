"""Connections out of a location's own network, for what nobody else reaches (a city's ClusterIPs).

The connection belongs to the process that asked: it needs no program in the location, which a power-off would end and
a limit on the location's processor time would slow down.
"""

import ctypes
import os
import socket
import threading
from concurrent.futures import Future
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
"""Of `setns`: only a network namespace is meant."""


def connect(netns_path: str, address: tuple[str, int], timeout: float) -> socket.socket:
    """An open TCP connection out of that network namespace. Blocks.

    Args:
        netns_path: File of the namespace, like `Location.netns_path`.
        address: IP address and port; names are looked up by nobody.
        timeout: Seconds for the connection, and for each read and write afterwards.
    Raises: OSError.
    """
    made: Future[socket.socket] = Future()

    def run() -> None:
        try:
            _enter(netns_path)
            made.set_result(socket.create_connection(address, timeout))
        except OSError as error:
            made.set_exception(error)

    # A namespace is entered by a thread alone; this one ends at once, and its socket stays where it was made.
    thread = threading.Thread(target=run, name="connect from inside", daemon=True)
    thread.start()
    thread.join()
    return made.result()


def _enter(netns_path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(netns_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(handle, _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"{netns_path}: {os.strerror(code)}")
    finally:
        os.close(handle)
