"""Requests and answers of etcd's JSON gateway, as far as Tandem uses them.

The gateway ignores unknown fields silently: a misspelt compare would pass and guard nothing. So requests are made from
these models only. In answers zero values are left out, and 64-bit integers are strings.
"""

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from tandem.engine.ports import Delete, Guard, KeyValue, Put

MOST_OPERATIONS: Final = 120
"""Compares, and writes, of one transaction; etcd's own limit is 128 of each."""


class Request(BaseModel):
    """Bytes travel as base64; None is left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64")

    def encode(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode()


class RangeRequest(Request):
    """A linearizable read: that is the default of `serializable`."""

    key: bytes
    range_end: bytes | None = None
    limit: int | None = None
    keys_only: bool | None = None


class Compare(Request):
    key: bytes
    target: Literal["MOD", "CREATE"]
    result: Literal["EQUAL"] = "EQUAL"
    mod_revision: int | None = None
    create_revision: int | None = None


class PutRequest(Request):
    key: bytes
    value: bytes
    lease: int | None = None


class DeleteRequest(Request):
    key: bytes


class Operation(Request):
    request_put: PutRequest | None = None
    request_delete_range: DeleteRequest | None = None


class TxnRequest(Request):
    compare: tuple[Compare, ...]
    success: tuple[Operation, ...]


class GrantRequest(Request):
    TTL: int


class StatusRequest(Request):
    """What a member says of itself."""


class MemberListRequest(Request):
    """Read linearizably, which is not this request's default: a member that cannot must not answer from memory."""

    linearizable: Literal[True] = True


class TransferRequest(Request):
    """Asked of the leader: this member is to lead from now on."""

    targetID: int  # noqa: N815 (the gateway calls it so)


class LeaseRequest(Request):
    """Keepalive and revocation."""

    ID: int


class WatchCreate(Request):
    key: bytes
    range_end: bytes
    start_revision: int
    progress_notify: Literal[True] = True


class WatchRequest(Request):
    create_request: WatchCreate


class Answer(BaseModel):
    """Fields of newer versions are ignored; what is left out is zero."""

    model_config = ConfigDict(frozen=True, extra="ignore", val_json_bytes="base64")


class Header(Answer):
    revision: int = 0
    member_id: int = 0


class WireKeyValue(Answer):
    key: bytes = b""
    value: bytes = b""
    create_revision: int = 0
    mod_revision: int = 0
    lease: int = 0

    def read(self) -> KeyValue:
        return KeyValue(name_of(self.key), self.value, self.create_revision, self.mod_revision, self.lease)


class RangeAnswer(Answer):
    header: Header = Header()
    kvs: tuple[WireKeyValue, ...] = ()
    count: int = 0
    """Keys in the range, whatever the limit."""


class TxnAnswer(Answer):
    header: Header = Header()
    succeeded: bool = False


class GrantAnswer(Answer):
    ID: int = 0
    error: str = ""


class StatusAnswer(Answer):
    """`leader`: the leading member's ID, 0 while there is none."""

    header: Header = Header()
    leader: int = 0


class WireMember(Answer):
    isLearner: bool = False  # noqa: N815 (the gateway calls it so)
    """Without a vote."""


class MemberListAnswer(Answer):
    header: Header = Header()
    members: tuple[WireMember, ...] = ()


class RevokeAnswer(Answer):
    header: Header = Header()


class KeepAlive(Answer):
    TTL: int = 0
    """Seconds; 0 (left out) when the lease is gone."""


class KeepAliveAnswer(Answer):
    result: KeepAlive


class WireEvent(Answer):
    type: Literal["PUT", "DELETE"] = "PUT"
    kv: WireKeyValue


class WatchBatch(Answer):
    header: Header = Header()
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""
    events: tuple[WireEvent, ...] = ()


class Fault(Answer):
    """A gRPC status."""

    code: int = 0
    message: str = ""


class FaultAnswer(Fault):
    """A refusal before a stream has begun wraps its status; others do not."""

    error: Fault | None = None


class WatchAnswer(Answer):
    """One line of a watch."""

    result: WatchBatch | None = None
    error: Fault | None = None


def key_of(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def name_of(key: bytes) -> str:
    # A key that somebody wrote by hand and that is not UTF-8 must not stop the picture of all the others.
    return key.decode("utf-8", "surrogateescape")


def end_of(prefix: str) -> bytes:
    """The first key after all keys that begin with `prefix`."""
    key = key_of(prefix).rstrip(b"\xff")
    if not key:
        return b"\x00"  # etcd's word for: up to the last key
    return key[:-1] + bytes((key[-1] + 1,))


def transaction(guards: Sequence[Guard], writes: Sequence[Put | Delete]) -> TxnRequest:
    """The request for a guarded transaction.

    Raises: ValueError for a guard that says nothing, a key written twice, and more than `MOST_OPERATIONS`.
    """
    compares = tuple(compare for guard in guards for compare in _compares(guard))
    if max(len(compares), len(writes)) > MOST_OPERATIONS:
        raise ValueError(f"{len(compares)} guards and {len(writes)} writes; a transaction takes {MOST_OPERATIONS}")
    written = [write.key for write in writes]
    if len(set(written)) != len(written):
        raise ValueError(f"{max(written, key=written.count)} is written twice in one transaction")
    return TxnRequest(compare=compares, success=tuple(_operation(write) for write in writes))


def _compares(guard: Guard) -> list[Compare]:
    found = []
    if guard.mod_revision is not None:
        found.append(Compare(key=key_of(guard.key), target="MOD", mod_revision=guard.mod_revision))
    if guard.create_revision is not None:
        found.append(Compare(key=key_of(guard.key), target="CREATE", create_revision=guard.create_revision))
    if not found:
        raise ValueError(f"the guard on {guard.key} names no revision, so it would guard nothing")
    return found


def _operation(write: Put | Delete) -> Operation:
    if isinstance(write, Put):
        put = PutRequest(key=key_of(write.key), value=write.value, lease=write.lease or None)
        return Operation(request_put=put)
    return Operation(request_delete_range=DeleteRequest(key=key_of(write.key)))
