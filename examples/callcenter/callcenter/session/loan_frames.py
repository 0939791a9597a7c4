"""What two CTIs of one system say to each other about guests (docs/contracts.md, section 5): one JSON object a frame.

    borrower                                  lender (home of the agents)
       | borrow n, wanted: [account, instance]   |
       |---------------------------------------->|
       |<----------------------------------------| lent n, loans: account -> loan, refused: account -> reason
       | renew n, loans: [loan, account, instance]
       |---------------------------------------->|
       |<----------------------------------------| renewed n, gone: [loan]
       | returned loans                          |
       |---------------------------------------->|
       |<----------------------------------------| who n       (a lender that has just started)
       | renew with re: n                        |
       |---------------------------------------->|

Every frame may be lost, late, repeated, or overtaken by another: there are two lines between two CTIs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Loan: TypeAlias = tuple[str, str, str]
"""Loan's ID, account, client instance."""


@dataclass(frozen=True, slots=True)
class Borrow:
    """May these agents, account and client instance each, work here as guests?"""

    n: str
    wanted: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Lent:
    """Answer to the `Borrow` of the same `n`: the loans' IDs, and why not, by account."""

    n: str
    loans: Mapping[str, str]
    refused: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Renew:
    """All loans held here. `re`: the question that this answers, if it is an answer."""

    n: str
    loans: tuple[Loan, ...]
    re: str | None = None


@dataclass(frozen=True, slots=True)
class Renewed:
    """Answer to the `Renew` of the same `n`: its loans hold on, but for those that are `gone`."""

    n: str
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Returned:
    """These loans, by ID, are over: no session lives here by them."""

    loans: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Who:
    """Whom of my agents do you have? Asked by a CTI that does not know it from its disk."""

    n: str


LoanFrame: TypeAlias = Borrow | Lent | Renew | Renewed | Returned | Who

KINDS: Final = frozenset({"borrow", "lent", "renew", "renewed", "returned", "who"})


def write(frame: LoanFrame) -> dict[str, Any]:
    """The frame as a JSON object."""
    match frame:
        case Borrow(n, wanted):
            return {"t": "borrow", "n": n, "wanted": wanted}
        case Lent(n, loans, refused):
            return {"t": "lent", "n": n, "loans": dict(loans), "refused": dict(refused)}
        case Renew(n, held, re):
            return {"t": "renew", "n": n, "loans": held, "re": re}
        case Renewed(n, gone):
            return {"t": "renewed", "n": n, "gone": gone}
        case Returned(over):
            return {"t": "returned", "loans": over}
        case Who(n):
            return {"t": "who", "n": n}


def read(body: Mapping[str, Any]) -> LoanFrame:
    """The frame that a JSON object with one of `KINDS` as `t` stands for. Raises ValueError when it is none."""
    try:
        match body["t"]:
            case "borrow":
                return Borrow(_text(body["n"]), tuple((_text(a), _text(i)) for a, i in body["wanted"]))
            case "lent":
                return Lent(_text(body["n"]), _texts(body["loans"]), _texts(body["refused"]))
            case "renew":
                held = tuple((_text(loan), _text(a), _text(i)) for loan, a, i in body["loans"])
                return Renew(_text(body["n"]), held, None if body["re"] is None else _text(body["re"]))
            case "renewed":
                return Renewed(_text(body["n"]), tuple(_text(loan) for loan in body["gone"]))
            case "returned":
                return Returned(tuple(_text(loan) for loan in body["loans"]))
            case "who":
                return Who(_text(body["n"]))
            case other:
                raise ValueError(f"{other!r} is none of {', '.join(sorted(KINDS))}")
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        raise ValueError(f"not what a CTI says of its loans ({e!r})") from e


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no string")
    return value


def _texts(value: Mapping[Any, Any]) -> dict[str, str]:
    return {_text(name): _text(text) for name, text in value.items()}
