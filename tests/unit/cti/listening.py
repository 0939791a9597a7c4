"""A CTI's clients' port in a test: real sockets on loopback, and none left at the end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from callcenter.cti.texts import Accepted, listen


@asynccontextmanager
async def listening(accept: Callable[[str, Any], Accepted | None]) -> AsyncIterator[str]:
    """Serve `accept`; yields the URL. Whoever is connected is to be told to go before the end."""
    server = await listen(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.05)  # the last connections close when both ends have heard it
