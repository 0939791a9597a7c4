"""Frames between client and CTI: what is written is what is read, and what is wrong is named."""

import json
from dataclasses import fields

import pytest

from callcenter.session import messages
from callcenter.session.errors import FrameError
from callcenter.session.messages import (
    AgentButton,
    Beat,
    Call,
    ClientFrame,
    Denied,
    Ended,
    Hello,
    Moved,
    Offer,
    Other,
    PhoneLine,
    Ping,
    Pong,
    Refused,
    Register,
    Release,
    ServerFrame,
    SignedIn,
    SignIn,
    SignOut,
    Wait,
    Welcome,
    Withdraw,
    decode_client,
    decode_server,
    encode,
)

FROM_CLIENTS: list[ClientFrame] = [
    Hello("agent0001", "i1", "02:00:00:00:00:01", "primary"),
    SignIn(7, None, wait=True, state=None),
    SignIn(8, "a.b", wait=False, state="break"),
    Withdraw(7),
    Pong('s"1', 3),
    SignOut("s1"),
    AgentButton("s1", "break"),
    AgentButton("s1", "available", then="break"),
    Other("east", ok=False, since=2.5),
    Moved("s1", "east", 0.02, 1_000_000.5, 1_000_000.52),
    Beat(4),
]
FROM_CTIS: list[ServerFrame] = [
    Welcome("east", "b1", 1.5, 0.5, None, PhoneLine("510001", "198.18.0.11:30560", "callcenter", "secret")),
    Denied("UnknownAccount", "no agent 'x'"),
    Offer(7, "s1", 1.5, 0.5),
    Ping("s1", 3),
    SignedIn("s1", 100_001, "V000001", "510001", "talking"),
    Release(7, None, "west", "a.b", "available"),
    Release(None, "s1", "west", None, None),
    Wait(7, "Paced"),
    Refused(7, "TicketUsed", "the ticket was used before"),
    Ended("s1", "Lapsed"),
    Call("s1", "c1", "ringing"),
    Register(),
    Beat(4),
]


@pytest.mark.parametrize("frame", FROM_CLIENTS, ids=lambda frame: type(frame).__name__)
def test_what_a_client_writes_the_cti_reads(frame: ClientFrame) -> None:
    assert decode_client(encode(frame)) == frame


@pytest.mark.parametrize("frame", FROM_CTIS, ids=lambda frame: type(frame).__name__)
def test_what_a_cti_writes_the_client_reads(frame: ServerFrame) -> None:
    assert decode_server(encode(frame)) == frame


def test_every_frame_of_the_protocol_is_tried() -> None:
    assert {type(frame) for frame in FROM_CLIENTS} == set(messages._CLIENT_FRAMES.values())
    assert {type(frame) for frame in FROM_CTIS} == set(messages._SERVER_FRAMES.values())


@pytest.mark.parametrize("frame", [*FROM_CLIENTS, *FROM_CTIS], ids=lambda frame: type(frame).__name__)
def test_names_on_the_wire_are_those_of_the_contract(frame: ClientFrame | ServerFrame) -> None:
    body = json.loads(encode(frame))
    assert body.keys() - {"t"} == {field.name.rstrip("_") for field in fields(frame)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("{", "not JSON", id="not-json"),
        pytest.param("[" * 16_000, "not JSON", id="deeper-than-can-be-read"),
        pytest.param("[]", "a frame is a JSON object, not list", id="a-list"),
        pytest.param("{}", "t is None: a client sends one of hello, signin", id="no-type"),
        pytest.param('{"t":"offer"}', "t is 'offer': a client sends", id="a-ctis-frame"),
        pytest.param('{"t":["pong"]}', "t is ['pong']", id="type-is-a-list"),
        pytest.param('{"t":"pong","session":"s"}', "pong.n is missing: expected an integer", id="missing"),
        pytest.param('{"t":"pong","session":1,"n":1}', "pong.session is 1: expected a string", id="wrong-type"),
        pytest.param('{"t":"pong","session":"s","n":true}', "pong.n is True: expected an integer", id="true-is-no-int"),
        pytest.param('{"t":"pong","session":"s","n":1.0}', "pong.n is 1.0: expected an integer", id="no-fractions"),
        pytest.param(
            '{"t":"agent","session":"s","state":"asleep"}',
            "agent.state is 'asleep': expected 'available' or 'break'",
            id="word",
        ),
        pytest.param(
            '{"t":"signin","seq":1,"ticket":5,"wait":true,"state":null}',
            "signin.ticket is 5: expected a string or null",
            id="optional",
        ),
        pytest.param('{"t":"other","site":"x","ok":true,"since":NaN}', "other.since is nan", id="nan"),
        pytest.param('{"t":"other","site":"x","ok":true,"since":1e999}', "other.since is inf", id="infinity"),
    ],
)
def test_a_wrong_frame_names_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(FrameError) as caught:
        decode_client(text)
    assert says in str(caught.value)


def test_a_wrong_field_within_an_object_is_named_with_its_path() -> None:
    body = json.loads(encode(FROM_CTIS[0]))
    del body["phone"]["realm"]
    with pytest.raises(FrameError, match=r"welcome\.phone\.realm is missing"):
        decode_server(json.dumps(body))


def test_fields_of_a_newer_version_are_ignored() -> None:
    assert decode_client('{"t":"beat","n":1,"mood":"good"}') == Beat(1)
