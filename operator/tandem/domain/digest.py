"""Digests: whether two locations read the same object, and whether an order is a new one."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256

from tandem.api.agentgroup import Share
from tandem.api.common import Written
from tandem.api.trunk import TrunkSpec

_HEX_DIGITS = 16


def _digest(value: object) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(canonical.encode()).hexdigest()[:_HEX_DIGITS]


def spec_digest(spec: Mapping[str, object], labels: Mapping[str, str]) -> str:
    """What identifies an object's declaration in every cluster: spec and labels (16 hex digits)."""
    return _digest({"spec": spec, "labels": dict(labels)})


def alarms_digest(alarms: Written) -> str:
    """What identifies questions to a Prometheus: words about others count for nothing (16 hex digits)."""
    return _digest(alarms.model_dump(mode="json"))


def trunk_digest(spec: TrunkSpec) -> str:
    """What identifies the declaration that routes were decided from (16 hex digits)."""
    return _digest(spec.model_dump(mode="json"))


def order_digest(placement: Sequence[Share], order_id: str) -> str:
    """What identifies an order: the wanted shares and the annotation `tandem.dev/order-id` (16 hex digits).

    The order of the list and shares of nothing do not matter: the same wish written differently is the same order.
    """
    shares = sorted((share.site, share.percent) for share in placement if share.percent)
    return _digest({"placement": shares, "orderId": order_id})
