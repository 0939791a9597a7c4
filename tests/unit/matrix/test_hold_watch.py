"""Who has seen the big red button, and when."""

import asyncio
import time

from tandem.engine.status_server import Answer, StatusServer
from tests.support.hold_watch import HoldWatch, late, says_held, words

BEFORE = "# TYPE tandem_hold gauge\ntandem_hold 0\ntandem_store_live 1\n"
AFTER = BEFORE.replace("tandem_hold 0", "tandem_hold 1")


def test_a_hold_is_told_by_its_metric_alone() -> None:
    assert says_held(AFTER)
    assert not says_held(BEFORE)
    assert not says_held("tandem_hold 10\n")
    assert not says_held("# HELP tandem_hold 1 while everything is held.\n")


def test_whoever_sees_it_late_or_never_is_named() -> None:
    assert late({"east": 10.9, "west": 10.0}, 10.0, 1.0) == []
    assert late({"east": 11.1, "west": 10.0, "witness": None}, 10.0, 1.0) == [
        "east saw it after 1.10 s",
        "witness has not seen it",
    ]
    assert words({"east": 10.5, "witness": None}, 10.0) == (
        "the hold was seen by east 0.50 s, witness never after it was pressed"
    )


def test_what_an_answer_takes_is_not_the_engines_time() -> None:
    asked: list[float] = []

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.append(time.time())
        await asyncio.sleep(0.4)
        body = AFTER.encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async def story() -> float | None:
        async with await asyncio.start_server(slowly, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with HoldWatch({"east": f"http://127.0.0.1:{port}"}) as watch:
                await watch.all(5.0)
        return watch.seen["east"]

    seen = asyncio.run(story())
    assert seen is not None
    assert seen <= asked[0]


def test_each_engine_is_asked_until_it_has_seen_it() -> None:
    held: list[bool] = []

    async def story() -> dict[str, float | None]:
        quick = StatusServer(0, {"/metrics": lambda: Answer(AFTER if held else BEFORE, "text/plain")}, "127.0.0.1")
        blind = StatusServer(0, {"/metrics": lambda: Answer(BEFORE, "text/plain")}, "127.0.0.1")
        tasks = [asyncio.create_task(server.run()) for server in (quick, blind)]
        for server in (quick, blind):
            await server.bound.wait()
        urls = {c: f"http://127.0.0.1:{s.bound_port}" for c, s in (("east", quick), ("west", blind))}
        async with HoldWatch(urls) as watch:
            await asyncio.sleep(0.3)
            assert watch.seen == {"east": None, "west": None}
            held.append(True)
            await watch.all(0.5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return watch.seen

    seen = asyncio.run(story())
    assert seen["east"] is not None
    assert seen["west"] is None
