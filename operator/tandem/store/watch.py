"""One watch: the gateway's stream of lines as batches of changes."""

import json
from collections.abc import AsyncIterator, Sequence

from pydantic import ValidationError

from tandem.engine.ports import Change, CompactedError, StoreError
from tandem.store.faults import error_of
from tandem.store.wire import WatchAnswer, WatchBatch, WatchCreate, WatchRequest, end_of, key_of, name_of


def watch_request(prefix: str, start_revision: int) -> WatchRequest:
    """Everything under `prefix` since `start_revision` (1 or more), that one included."""
    return WatchRequest(
        create_request=WatchCreate(key=key_of(prefix), range_end=end_of(prefix), start_revision=start_revision)
    )


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Split a stream at line ends. A line may be many megabytes: its parts are joined once."""
    parts: list[bytes] = []
    async for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join((*parts, line))
            parts.clear()
        parts.append(rest)


def read_line(endpoint: str, line: bytes) -> Sequence[Change]:
    """The changes in one line; empty for a sign of life.

    Raises: CompactedError, NoQuorumError, StoreError when the line says that the watch has ended.
    """
    try:
        answer = WatchAnswer.model_validate_json(line)
    except ValidationError as e:
        raise StoreError(f"{endpoint} sent a line that is no watch answer: {line[:200]!r}") from e
    if answer.error is not None:
        raise error_of(endpoint, answer.error)
    if answer.result is None:
        raise StoreError(f"{endpoint} sent a line that is no watch answer: {line[:200]!r}")
    return _changes(endpoint, answer.result)


def _changes(endpoint: str, batch: WatchBatch) -> Sequence[Change]:
    if batch.canceled:
        if batch.compact_revision:
            raise CompactedError(f"{endpoint} has compacted up to revision {batch.compact_revision}")
        raise StoreError(f"{endpoint} ended the watch: {json.dumps(batch.cancel_reason)}")
    return [
        Change(
            key=name_of(event.kv.key),
            value=event.kv.read() if event.type == "PUT" else None,
            revision=event.kv.mod_revision,
        )
        for event in batch.events
    ]
