"""What a member's refusal means, in the error tree of the engine's ports."""

from typing import Final

from pydantic import ValidationError

from tandem.engine.ports import CompactedError, LeaseLostError, NoQuorumError, StoreError
from tandem.store.wire import Fault, FaultAnswer

NOT_FOUND: Final = 5
OUT_OF_RANGE: Final = 11
UNAVAILABLE: Final = 14

_LEAST_PROBLEM: Final = 400


def refusal(endpoint: str, status: int, content: bytes) -> StoreError | None:
    """The error that an answer stands for, None for a good one.

    Args:
        endpoint: Who answered, for the message.
        status: HTTP status.
        content: The body.
    """
    if status < _LEAST_PROBLEM:
        return None
    try:
        answer = FaultAnswer.model_validate_json(content)
    except ValidationError:
        return StoreError(f"{endpoint} answered {status}: {content[:200].decode(errors='replace')}")
    return error_of(endpoint, answer.error or answer)


def error_of(endpoint: str, fault: Fault) -> StoreError:
    """The error that a gRPC status stands for."""
    said = f"{endpoint} said: {fault.message or 'nothing'} (code {fault.code})"
    if fault.code == UNAVAILABLE and "no leader" in fault.message:
        return NoQuorumError(said)
    # A wrong path is NOT_FOUND as well.
    if fault.code == NOT_FOUND and "lease" in fault.message:
        return LeaseLostError(said)
    if fault.code == OUT_OF_RANGE and "compacted" in fault.message:
        return CompactedError(said)
    return StoreError(said)
