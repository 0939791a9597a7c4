"""What all objects share: the base model, durations, references, conditions."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    ValidationInfo,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

GROUP: Final = "tandem.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

ALLOW_DELETE: Final = "tandem.dev/allow-delete"
"""Annotation without which the admission policies refuse to delete what is in use."""
ORDER_ID: Final = "tandem.dev/order-id"
"""Annotation on an AgentGroup: a new value makes an order that was refused count as a new one."""
HOLD_REQUEST: Final = "tandem.dev/hold-request"
"""Annotation on the cluster's own Site: JSON {id, action: hold|resume, by, reason}, consumed once per id."""
DRILL_REQUEST: Final = "tandem.dev/drill-request"
"""Annotation on a Drill: JSON {id, action: run|abort, by, at}, a command that acts once per id."""
WHO_LETTERS: Final = 253
"""Letters that the name of a person may have who commands, asks, approves or aborts."""
WHY_LETTERS: Final = 1024
"""Letters that the reason for a hold or its end may have."""
SERVER: Final = "tandem.dev/server"
"""Annotation on a Secret: URL of the only Prometheus that its token may be sent to."""
COPY_OF: Final = "tandem.dev/copy-of"
"""Annotation on a mirrored Drill: digest of the spec that was copied. One that differs was written by somebody else."""
MIRRORED: Final = "tandem.dev/mirrored"
"""Label on objects that the operator created here because they exist in the store; the value says where they began."""

_DURATION = re.compile(r"^(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?$")


def duration_seconds(text: str) -> float:
    """Seconds in a duration such as `500ms`, `2s`, `5m`, `1h30m`.

    Raises: ValueError naming the value and the accepted form.
    """
    match = _DURATION.match(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration; write it like 500ms, 2s, 5m or 1h30m")
    hours, minutes, seconds, millis = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + millis / 1000


def duration_text(seconds: float) -> str:
    """Seconds as a duration, like `1h45m12s`; rounded up to whole seconds."""
    whole = math.ceil(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    parts = [f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if count]
    return "".join(parts) or "0s"


def _checked_duration(text: str) -> str:
    duration_seconds(text)
    return text


Duration = Annotated[
    str,
    Field(pattern=r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$", min_length=2, max_length=20),
    AfterValidator(_checked_duration),
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
Percent = Annotated[int, Field(ge=0, le=100)]
LAST_PORT: Final = 65_535
_LABEL: Final = "[A-Za-z0-9-]{1,63}"
_PORT: Final = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST_PORT: Final = rf"^{_LABEL}(\.{_LABEL})*\.?:{_PORT}$"


def _checked_host_port(text: str, info: ValidationInfo) -> str:
    if re.match(_HOST_PORT, text) is None and not is_stored(info):
        raise ValueError(
            f"{text} is no host and port; write it like 198.18.0.11:30560, with a port from 1 to {LAST_PORT} and"
            " no part of the name empty or longer than 63 characters"
        )
    return text


# What was stored before it was asked so strictly is read all the same: the city's other systems must not go with it.
HostPort = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$", max_length=259, json_schema_extra={"pattern": _HOST_PORT}),
    AfterValidator(_checked_host_port),
]
"""Host and port, `198.18.0.11:30560`."""
Url = Annotated[str, Field(pattern=r"^https?://[^ ]+$", max_length=512)]
DeploymentRef = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=317),
]
"""Deployment as namespace/name."""

Schema = dict[str, JsonValue]


def cel(rule: str, message: str, *, field: str = "") -> dict[str, JsonValue]:
    """One `x-kubernetes-validations` rule.

    Args:
        rule: CEL expression that must hold.
        message: A sentence, or, when it begins with `'`, a CEL expression that makes one: `'...'.format([...])`,
            because the API server refuses `+` with string(), whose length it cannot bound. It names value and remedy;
            the API server adds the field.
        field: Path of the offending field below the place of the rule, like `.placement`.
    """
    found: dict[str, JsonValue] = {"rule": rule}
    found["messageExpression" if message.startswith("'") else "message"] = message
    if field:
        found["fieldPath"] = field
    return found


def rules(*validations: dict[str, JsonValue]) -> Schema:
    """Schema extension that carries CEL rules."""
    return {"x-kubernetes-validations": list(validations)}


@dataclass(frozen=True)
class Within:
    """Bounds of a Duration, as `Annotated[Duration, Within(...)]`: for the API server and for the second check here.

    What was stored before the bounds were these counts as the nearest of them (`Written.stored`).
    """

    least: str
    most: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        bounds = cel(
            f"duration(self) >= duration('{self.least}') && duration(self) <= duration('{self.most}')",
            f"'is %s, but may be from {self.least} to {self.most}; choose another time'.format([self])",
        )
        return {**handler(schema), **rules(bounds)}

    def _checked(self, text: str, info: ValidationInfo) -> str:
        seconds = duration_seconds(text)
        if not duration_seconds(self.least) <= seconds <= duration_seconds(self.most):
            if is_stored(info):
                return self.least if seconds < duration_seconds(self.least) else self.most
            raise ValueError(f"{text} is outside {self.least} to {self.most}; choose another time")
        return text


def unchanged(remedy: str) -> dict[str, JsonValue]:
    """Rule of a field that cannot change after creation."""
    return cel("self == oldSelf", f"cannot be changed after creation; {remedy}")


def fixed(name: str, remedy: str) -> dict[str, JsonValue]:
    """Rule of its parent for an optional field that cannot be set, changed or taken away after creation."""
    return cel(
        f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})",
        f"cannot be changed after creation; {remedy}",
        field=f".{name}",
    )


def immutable(remedy: str) -> Schema:
    """Schema extension of a field that cannot change after creation."""
    return rules(unchanged(remedy))


def list_map(*keys: str) -> Schema:
    """Schema extension of a list whose items are known by `keys`: no duplicates, merged item by item."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


ATOMIC: Final[Schema] = {"x-kubernetes-list-type": "atomic"}
"""Schema extension of a list that is one value with one owner: never merged with what somebody else wrote."""

WAVES_RULE: Final = cel(
    "self.isSorted() && self.all(w, w > 0 && self.exists_one(v, v == w)) && self[size(self) - 1] == 100",
    "'is %s, but waves rise and end at 100, like [10, 50, 100]'.format([self])",
)


def checked_waves(waves: tuple[int, ...]) -> tuple[int, ...]:
    """The waves when they rise and end at 100. Raises: ValueError naming value and remedy."""
    if list(waves) != sorted(set(waves)) or waves[0] <= 0 or waves[-1] != 100:
        raise ValueError(f"waves {list(waves)} must rise and end at 100, like [10, 50, 100]")
    return waves


Waves = Annotated[
    tuple[Percent, ...],
    Field(min_length=1, max_length=10, json_schema_extra=rules(WAVES_RULE)),
    AfterValidator(checked_waves),
]
"""Share of the move done after each wave, in percent."""


def twice(values: Iterable[str]) -> str | None:
    """The first value that occurs a second time."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


_STORED: Final = {"stored": True}
"""Validation context of what is read from the store."""


def is_stored(info: ValidationInfo) -> bool:
    """Whether what is validated was read from the store: it was admitted once, perhaps by another version's rules."""
    return info.context is _STORED


class Written(BaseModel):
    """What people write: unknown fields are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    @classmethod
    def stored(cls, spec: Mapping[str, Any]) -> Self:
        """The spec as an engine reads it from the store, where a location of another version may have put it.

        A city must not lose its rescue to an upgrade: what only a newer version knows is ignored, and the limits of
        times are not asked. They are kept where a spec is applied.

        Raises: ValidationError when it makes no sense all the same.
        """
        return cls.model_validate(spec, extra="ignore", context=_STORED)


class Reported(BaseModel):
    """What the operator writes into status: unknown fields of newer versions are ignored."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class Condition(Reported):
    """A Kubernetes condition, readable by kstatus."""

    type: str = Field(description="Name of the condition, CamelCase.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    reason: str = Field(description="Stable CamelCase reason.")
    message: str = Field(default="", description="A sentence for the person on call.")
    observed_generation: int = Field(default=0, description="The generation that this condition speaks of.")
    last_transition_time: str = Field(default="", description="When the status last changed, RFC 3339.")


Conditions = Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=list_map("type"))]
