"""What goes over the wire, to the letter: etcd ignores what it does not know, so a misspelt compare guards nothing."""

import json
from collections.abc import AsyncIterator

import pytest
from pydantic import ValidationError

from tandem.engine.ports import CompactedError, Delete, Guard, LeaseLostError, NoQuorumError, Put, StoreError
from tandem.store.faults import refusal
from tandem.store.watch import lines, read_line, watch_request
from tandem.store.wire import (
    Compare,
    GrantAnswer,
    KeepAliveAnswer,
    MemberListAnswer,
    MemberListRequest,
    RangeAnswer,
    TxnAnswer,
    end_of,
    name_of,
    transaction,
)


def test_a_transaction_has_the_field_names_of_etcd_s_api() -> None:
    guards = [Guard("/a", mod_revision=0), Guard("/b", create_revision=7)]
    request = transaction(guards, [Put("/c", b"\x00\xff", lease=5), Put("/d", b""), Delete("/e")])
    assert json.loads(request.encode()) == {
        "compare": [
            {"key": "L2E=", "target": "MOD", "result": "EQUAL", "mod_revision": 0},
            {"key": "L2I=", "target": "CREATE", "result": "EQUAL", "create_revision": 7},
        ],
        "success": [
            {"request_put": {"key": "L2M=", "value": "AP8=", "lease": 5}},
            {"request_put": {"key": "L2Q=", "value": ""}},
            {"request_delete_range": {"key": "L2U="}},
        ],
    }


def test_members_are_listed_by_a_linearizable_read_and_learners_are_told_apart() -> None:
    assert json.loads(MemberListRequest().encode()) == {"linearizable": True}
    said = (
        b'{"header":{"member_id":"9372538179322589801"},"members":[{"ID":"1","name":"a"},{"ID":"2","isLearner":true}]}'
    )
    answer = MemberListAnswer.model_validate_json(said)
    assert answer.header.member_id == 9372538179322589801
    assert [member.isLearner for member in answer.members] == [False, True]


def test_a_watch_asks_for_signs_of_life() -> None:
    assert json.loads(watch_request("/a/", 7).encode()) == {
        "create_request": {"key": "L2Ev", "range_end": "L2Ew", "start_revision": 7, "progress_notify": True}
    }


def test_a_misspelt_field_is_an_error_here() -> None:
    with pytest.raises(ValidationError, match="modRevision"):
        Compare.model_validate({"key": b"/a", "target": "MOD", "modRevision": 7})


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        pytest.param("/tandem/", b"/tandem0", id="next-after-slash"),
        pytest.param("az", b"a{", id="next-letter"),
        pytest.param("a\udcff", b"b", id="a-byte-of-255-is-carried"),
        pytest.param("", b"\x00", id="everything"),
    ],
)
def test_a_prefix_ends_before_the_first_key_that_does_not_begin_with_it(prefix: str, end: bytes) -> None:
    assert end_of(prefix) == end


def test_zeros_that_are_left_out_and_numbers_as_strings_are_read() -> None:
    assert TxnAnswer.model_validate_json(b'{"header":{"revision":"9007199254740993"}}').succeeded is False
    assert TxnAnswer.model_validate_json(b'{"header":{"revision":"9007199254740993"}}').header.revision == 2**53 + 1
    assert RangeAnswer.model_validate_json(b'{"header":{"revision":"2"}}').kvs == ()
    assert KeepAliveAnswer.model_validate_json(b'{"result":{"ID":"7"}}\n').result.TTL == 0
    assert GrantAnswer.model_validate_json(b'{"ID":"7587869","TTL":"2"}').ID == 7587869
    found = RangeAnswer.model_validate_json(b'{"kvs":[{"key":"L2E=","mod_revision":"2","value":"//76AP/+"}]}').kvs[0]
    assert found.read().value == b"\xff\xfe\xfa\x00\xff\xfe"
    assert RangeAnswer.model_validate_json(b'{"kvs":[{"key":"L2E="}]}').kvs[0].read().value == b""


def test_a_key_that_is_not_utf_8_stops_nobody() -> None:
    assert name_of(b"/a\xff") == "/a\udcff"
    assert end_of(name_of(b"/a\xfe")) == b"/a\xff"


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        pytest.param(503, b'{"code":14,"message":"etcdserver: no leader"}', NoQuorumError, id="no-leader"),
        pytest.param(503, b'{"error":{"code":14,"message":"etcdserver: no leader"}}', NoQuorumError, id="of-a-stream"),
        pytest.param(503, b'{"code":14,"message":"etcdserver: request timed out"}', StoreError, id="timed-out"),
        pytest.param(404, b'{"code":5,"message":"etcdserver: requested lease not found"}', LeaseLostError, id="lease"),
        pytest.param(404, b'{"code":5,"message":"Not Found"}', StoreError, id="wrong-path"),
        pytest.param(
            400,
            b'{"code":11,"message":"etcdserver: mvcc: required revision has been compacted"}',
            CompactedError,
            id="compacted",
        ),
        pytest.param(500, b"<html>", StoreError, id="not-etcd"),
    ],
)
def test_a_refusal_is_the_error_that_it_means(status: int, content: bytes, kind: type[StoreError]) -> None:
    error = refusal("https://198.18.0.11:32379", status, content)
    assert type(error) is kind
    assert "https://198.18.0.11:32379" in str(error)


def test_a_good_answer_is_no_refusal() -> None:
    assert refusal("x", 200, b'{"header":{}}') is None


async def test_lines_are_put_together_from_pieces() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"ab", b"c\nde", b"\n", b"\nf", b"g\nrest"):
            yield piece

    assert [line async for line in lines(pieces())] == [b"abc", b"de", b"", b"fg"]


def test_a_watch_s_lines_are_changes_or_signs_of_life() -> None:
    line = (
        b'{"result":{"header":{"revision":"9"},"events":['
        b'{"kv":{"key":"L2E=","create_revision":"8","mod_revision":"8","value":"eA==","lease":"5"}},'
        b'{"type":"DELETE","kv":{"key":"L2I=","mod_revision":"9"}}]}}'
    )
    put, deletion = read_line("x", line)
    assert (put.key, put.revision, deletion.key, deletion.revision) == ("/a", 8, "/b", 9)
    assert put.value is not None
    assert (put.value.value, put.value.create_revision, put.value.lease) == (b"x", 8, 5)
    assert deletion.value is None
    assert list(read_line("x", b'{"result":{"header":{"revision":"9"},"created":true}}')) == []
    assert list(read_line("x", b'{"result":{"header":{"revision":"9"}}}')) == []


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        pytest.param(b'{"result":{"canceled":true,"compact_revision":"7"}}', CompactedError, id="compacted"),
        pytest.param(b'{"result":{"canceled":true,"cancel_reason":"bye"}}', StoreError, id="cancelled"),
        pytest.param(b'{"error":{"code":14,"message":"etcdserver: no leader"}}', NoQuorumError, id="no-leader"),
        pytest.param(b'{"error":{"code":13,"message":"broken"}}', StoreError, id="broken"),
        pytest.param(b"nonsense", StoreError, id="not-json"),
        pytest.param(b"{}", StoreError, id="empty"),
    ],
)
def test_a_watch_s_end_says_why(line: bytes, kind: type[StoreError]) -> None:
    with pytest.raises(StoreError) as caught:
        read_line("x", line)
    assert type(caught.value) is kind
