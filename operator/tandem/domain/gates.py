"""Gates between waves: what one wave must have shown before the next begins. Pure; one entry of `GATES` for each.

    released here --> signed in there (share, time) --> calls taken there --> alarms quiet

A gate says its threshold before anything moves, and what was measured while it is closed. A new kind of gate is one
entry more, and one field more of `Measured` where it needs something that is not measured yet.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tandem.api.common import duration_seconds
from tandem.api.gates import Gates
from tandem.constants import CALLS_TO_JUDGE
from tandem.domain.reasons import Reason, Refusal


@dataclass(frozen=True, slots=True)
class Measured:
    """What a wave has shown so far."""

    released: int
    """Agents whom it has released."""
    signed_in: int
    """Those of them who signed in at the target."""
    p95: float
    """Their time out of service, 95 % of them, in seconds; 0 before anybody has told."""
    answered: int
    """Calls taken by agents at the target since the wave began."""
    unanswered: int
    """Calls offered to agents at the target since then, and not taken."""
    quiet_for: float
    """Seconds since the last of them had left."""
    alarm: Refusal | None = None
    """The first of the alarms that is not quiet, with who says so."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One kind of gate."""

    name: str
    stated: Callable[[Gates], str]
    """What must hold, with the threshold, as a part of a sentence; empty when it is not asked."""
    closed: Callable[[Gates, Measured], Refusal | None]
    """Why the next wave may not begin, with what was measured. Asked only where something is stated."""


def _stated_observe(gates: Gates) -> str:
    return f"{gates.observe} have passed since the last of it left" if duration_seconds(gates.observe) else ""


def _observing(gates: Gates, measured: Measured) -> Refusal | None:
    if measured.quiet_for >= duration_seconds(gates.observe):
        return None
    return Refusal(
        Reason.OBSERVING, f"looks at the wave for {gates.observe} before the next one begins", temporary=True
    )


def _stated_signed_in(gates: Gates) -> str:
    return f"{gates.signed_in} % of those it released are signed in there" if gates.signed_in else ""


def enough_signed_in(share: int, released: int) -> int:
    """Agents who must have signed in: the share in percent, rounded down, and one at least where anybody was released.

    Rounded down, for a canary is small: at 95 % one of five may have gone home.
    """
    return max(share * released // 100, min(released, 1))


def _too_few_signed_in(gates: Gates, measured: Measured) -> Refusal | None:
    if measured.signed_in >= enough_signed_in(gates.signed_in, measured.released):
        return None
    message = (
        f"{measured.signed_in} of the {measured.released} agents whom the wave released are signed in at the target, "
        f"fewer than {gates.signed_in} %"
    )
    return Refusal(Reason.TOO_FEW_SIGNED_IN, message, temporary=True)


def _stated_sign_in_time(gates: Gates) -> str:
    within = f"95 % of them were out of service for {gates.sign_in_time} at most"
    return within if duration_seconds(gates.sign_in_time) else ""


def _too_slow(gates: Gates, measured: Measured) -> Refusal | None:
    if measured.p95 <= duration_seconds(gates.sign_in_time):
        return None
    message = f"95 % of the wave's agents signed in within {measured.p95:.1f} s, not within {gates.sign_in_time}"
    return Refusal(Reason.SIGN_INS_TOO_SLOW, message, temporary=True)


def _stated_call_success(gates: Gates) -> str:
    of_calls = f"agents there took {gates.call_success} % of the calls offered to them since it began"
    return f"{of_calls}, if there were {CALLS_TO_JUDGE}" if gates.call_success else ""


def _calls_failing(gates: Gates, measured: Measured) -> Refusal | None:
    offered = measured.answered + measured.unanswered
    if offered < CALLS_TO_JUDGE or measured.answered * 100 >= gates.call_success * offered:
        return None
    message = (
        f"agents at the target took {measured.answered} of the {offered} calls offered to them since the wave began, "
        f"fewer than {gates.call_success} %"
    )
    return Refusal(Reason.CALLS_NOT_TAKEN, message, temporary=True)


def stated_alarms(gates: Gates) -> str:
    """The same of the alarms, which are asked before the first wave, too."""
    if gates.alarms is None:
        return ""
    names = [alarm.name for alarm in gates.alarms.quiet]
    which = f"alarm {names[0]} is" if len(names) == 1 else f"alarms {', '.join(names)} are"
    return f"{which} quiet as the locations see it that ask {gates.alarms.prometheus.url}"


def _alarmed(_gates: Gates, measured: Measured) -> Refusal | None:
    return measured.alarm


GATES: Final[tuple[Gate, ...]] = (
    Gate("SignedIn", _stated_signed_in, _too_few_signed_in),
    Gate("SignInTime", _stated_sign_in_time, _too_slow),
    Gate("CallSuccess", _stated_call_success, _calls_failing),
    Gate("Alarms", stated_alarms, _alarmed),
    Gate("Observe", _stated_observe, _observing),  # last: what is wrong is said at once
)


def stated(gates: Gates) -> Iterator[str]:
    """What must hold, gate by gate."""
    return (text for gate in GATES if (text := gate.stated(gates)))


def first_closed(gates: Gates, measured: Measured) -> tuple[Gate, Refusal] | None:
    """The first gate that is closed, and why."""
    for gate in GATES:
        if gate.stated(gates):
            refusal = gate.closed(gates, measured)
            if refusal is not None:
                return gate, refusal
    return None


def patience_text(gates: Gates) -> str:
    """What becomes of a Shift whose gate stays closed."""
    then = "goes back" if gates.after_patience == "Abort" else "waits for a person to abort it"
    return f"a gate that stays closed for {gates.patience}: then it {then}"
