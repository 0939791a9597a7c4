"""The firewall rules that make a service reachable and useless."""

import pytest

from lab.addresses import CITIES
from lab.interface import Swallowed
from lab.swallow import rules, rules_for_names

EAST = CITIES["east"]


def _rules(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().endswith("drop")]


def test_what_goes_to_a_service_is_known_by_the_citys_address_and_the_port_that_everybody_uses() -> None:
    """INVITEs of the city's own softswitch to phones and to the other city are none of these."""
    assert _rules(rules(EAST, Swallowed("udp", 30560, "in", b"INVITE "))) == [
        "ip daddr 198.18.0.11 udp dport 30560 @ih,0,56 0x494e5649544520 counter drop"
    ]


def test_a_services_answers_are_known_by_the_connection_they_belong_to() -> None:
    assert _rules(rules(EAST, Swallowed("tcp", 30580, "out", b'{"t":"', offset=2))) == [
        "ip saddr 10.11.0.0/16 meta l4proto tcp ct direction reply ct original proto-dst 30580 "
        "@ih,16,48 0x7b2274223a22 counter drop"
    ]


@pytest.mark.parametrize("begins", [b"", b"x" * 17])
def test_what_the_kernel_cannot_compare_is_refused(begins: bytes) -> None:
    with pytest.raises(ValueError, match="1 to 16 bytes"):
        Swallowed("udp", 30560, "in", begins)


def test_questions_to_a_name_server_are_lost_whichever_it_is() -> None:
    assert _rules(rules_for_names()) == ["meta l4proto { tcp, udp } th dport 53 counter drop"]
