"""What all objects share: the base model, durations, references, conditions."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP: Final = "tandem.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

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


def _checked_duration(text: str) -> str:
    duration_seconds(text)
    return text


Duration = Annotated[
    str,
    AfterValidator(_checked_duration),
    Field(pattern=r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$", min_length=2, max_length=20),
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
Percent = Annotated[int, Field(ge=0, le=100)]


class Written(BaseModel):
    """What people write: unknown fields are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


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
