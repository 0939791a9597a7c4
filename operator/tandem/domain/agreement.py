"""Several clusters, one truth: what the locations' copies of one object say together.

Objects are known by name and digest; UIDs and generations differ from cluster to cluster. A planned move needs every
Active site that publishes to have read the same object.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from tandem.api.agentgroup import AgentGroupSpec
from tandem.api.common import Written
from tandem.domain import keys
from tandem.domain.digest import order_digest
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import SpecRecord
from tandem.domain.snapshot import Entry, Published

W = TypeVar("W", bound=Written)


def participants_of(specs: Mapping[str, Mapping[tuple[str, str], Entry[SpecRecord]]]) -> frozenset[str]:
    """Active sites that publish anything. A site's role is what it says of itself, else what any other says."""

    def role(site: str) -> object:
        for teller in (site, *sorted(specs)):
            entry = specs.get(teller, {}).get((keys.SITE, site))
            if entry is not None:
                return entry.record.spec.get("role", "Active")
        return None

    return frozenset(site for site, published in specs.items() if published and role(site) == "Active")


@dataclass(frozen=True)
class Agreement:
    """What the locations say of one object."""

    name: str
    published: bool
    record: SpecRecord | None
    """The copy to go by: the agreed one; while they differ, a Site's own word about itself; else None."""
    consistent: bool
    message: str = ""
    copies: tuple[SpecRecord, ...] = ()
    """While they differ: those of the Active sites that have one, else whatever there is."""

    def publish(self, model: type[W], before: Published[W] | None) -> Published[W]:
        """As typed object; while the locations differ, the spec that was agreed last."""
        last = before.spec if before else None
        if self.record is None:
            return Published(
                name=self.name,
                spec=last,
                at_worst=_at_worst(model, self.copies) if last is None else None,
                consistent=False,
                since=0.0,
                message=self.message,
                labels=before.labels if before else {},
                order_digest=before.order_digest if before else "",
            )
        try:
            spec = model.stored(self.record.spec)
        except ValidationError as error:
            return Published(
                name=self.name,
                spec=last,
                consistent=self.consistent,
                since=0.0,
                message=self.message,
                labels=self.record.labels,
                order_digest=f"invalid:{self.record.digest}:{self.record.order_id}",
                invalid=_refusal_of(error),
            )
        wanted = order_digest(spec.placement, self.record.order_id) if isinstance(spec, AgentGroupSpec) else ""
        return Published(
            name=self.name,
            spec=spec,
            consistent=self.consistent,
            since=0.0,
            message=self.message,
            labels=self.record.labels,
            order_digest=wanted,
        )


def agree(kind: str, name: str, records: Mapping[str, SpecRecord], participants: frozenset[str]) -> Agreement:
    """Compare the copies of one object. `records`: site -> its copy, the witness's and other non-participants' too."""
    voices = {site: records[site] for site in sorted(participants) if site in records}
    silent = sorted(participants - voices.keys())
    versions = {(record.digest, record.order_id) for record in voices.values()}
    if voices and not silent and len(versions) == 1:
        return Agreement(name, True, next(iter(voices.values())), True)
    if not records:
        return Agreement(name, False, None, False)
    if not participants:
        message = f"no location publishes an Active Site of its own yet, so nobody can confirm {name}; apply the Sites"
    elif silent and voices:
        message = f"{name} is published by {_names(voices)} but not by {_names(silent)}; apply the same manifest there"
    elif silent:
        message = f"{name} is published by no Active site; apply the same manifest to {_names(silent)}"
    else:
        message = f"{name} differs between {_names(voices)}; apply the same manifest to each of them"
    own = records.get(name) or next(iter(records.values()))
    copies = tuple((voices or records).values())
    return Agreement(name, True, own if kind == keys.SITE else None, False, message, copies)


def _at_worst(model: type[W], copies: Sequence[SpecRecord]) -> W | None:
    """What an emergency goes by where these have never agreed since this engine started, so that nobody is left behind.

    Whatever is the more careful: a person decides if any copy says so; the sites in common; room for the most agents;
    and nobody comes first whom not all of them let.
    """
    found = []
    for copy in copies:
        with contextlib.suppress(ValidationError):
            found.append(model.stored(copy.spec))
    groups = [spec for spec in found if isinstance(spec, AgentGroupSpec)]
    if not groups or len({spec.system for spec in groups}) > 1:
        return None
    return found[0].model_copy(
        update={
            "failover": "Manual" if any(spec.failover == "Manual" for spec in groups) else "Automatic",
            "sites": tuple(site for site in groups[0].sites if all(site in spec.sites for spec in groups)),
            "agents": max(spec.agents for spec in groups),
            "priority": min(spec.priority for spec in groups),
        }
    )


def _names(sites: Any) -> str:
    return " and ".join(sorted(sites))


_REASONS: Final = (
    # (field, beginning of the model's sentence, reason): what users look up; everything else is InvalidSpec
    ("agents", "", Reason.NO_AGENTS),
    ("waves", "", Reason.WAVES_NOT_RISING),
    ("routes", "", Reason.TOO_FEW_ROUTES),
    ("", "placement: percentages", Reason.PERCENTAGES_DO_NOT_SUM),
    ("", "placement: site", Reason.SITE_NOT_LISTED),
    ("", "placement names", Reason.SITE_TWICE),
    ("", "sites names", Reason.SITE_TWICE),
)


def _refusal_of(error: ValidationError) -> Refusal:
    """The first thing wrong, with its field, its value and the remedy."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    reason = next(
        (reason for where, start, reason in _REASONS if where == field and said.startswith(start)), Reason.INVALID_SPEC
    )
    if not field:
        return Refusal(reason, f"spec.{said}")
    return Refusal(reason, f"spec.{field} is {first['input']!r}: {said}; correct it and apply again")
