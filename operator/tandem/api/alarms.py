"""Alarms: questions to a Prometheus whose answer keeps a move from starting, or brings it back."""

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from tandem.api.common import Duration, Name, Schema, Url, Written, cel, duration_seconds, list_map, rules, twice
from tandem.api.trunk import SecretRef

MOST_ALARMS: Final = 10
"""Of each kind."""
LONGEST_FOR: Final = "1h"
LONGEST_TIMEOUT: Final = "30s"
LEAST_TIMEOUT: Final = "100ms"


def _bounds(least: str, most: str) -> Schema:
    return rules(
        cel(
            f"duration(self) >= duration('{least}') && duration(self) <= duration('{most}')",
            f"'is %s, but may be from {least} to {most}; choose another time'.format([self])",
        )
    )


def _check(field: str, text: str, least: str, most: str) -> None:
    if not duration_seconds(least) <= duration_seconds(text) <= duration_seconds(most):
        raise ValueError(f"{field} is {text}, but may be from {least} to {most}; choose another time")


class Prometheus(Written):
    """Whom to ask. Every location asks for itself: a name that each cluster resolves to its own server is fine."""

    url: Url = Field(
        description="Base URL of the server, like http://prometheus.monitoring:9090; /api/v1/query is added."
    )
    credentials: SecretRef | None = Field(
        default=None,
        description="Secret with a bearer token, in this namespace; its annotation tandem.dev/server has to be `url`.",
    )
    timeout: Duration = Field(
        default="5s",
        description="Longest wait for one answer; what is not answered by then is unknown.",
        json_schema_extra=_bounds(LEAST_TIMEOUT, LONGEST_TIMEOUT),
    )

    @model_validator(mode="after")
    def _within(self) -> Self:
        _check("timeout", self.timeout, LEAST_TIMEOUT, LONGEST_TIMEOUT)
        return self


class Alarm(Written):
    """One question. It fires while its answer is a vector that is not empty, or a scalar that is not zero."""

    name: Name = Field(description="Name of the alarm.")
    query: str = Field(
        min_length=1,
        max_length=2000,
        pattern=r"\S",
        description="PromQL, evaluated at the present moment. It fires when the result is a vector that is not empty, "
        "or a scalar that is not zero: write a comparison, like sum(rate(lost[1m])) > 0.1. Without one it fires; "
        "series that are missing fire nothing, so add `or absent(...)` where they should.",
    )
    for_: Duration = Field(
        default="0s",
        alias="for",
        description="How long it must be true without a break before it fires. Nothing starts while it is true.",
        json_schema_extra=_bounds("0s", LONGEST_FOR),
    )

    @model_validator(mode="after")
    def _within(self) -> Self:
        _check("for", self.for_, "0s", LONGEST_FOR)
        return self


Questions = Annotated[tuple[Alarm, ...], Field(max_length=MOST_ALARMS, json_schema_extra=list_map("name"))]
"""Alarms of one kind."""


class DrillAlarms(Written):
    """What Prometheus has to say before and during a run."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "(has(self.blocking) && size(self.blocking) > 0) || (has(self.outcome) && size(self.outcome) > 0)",
                "names no alarm; add one to blocking or to outcome, or leave spec.alarms out",
            ),
            cel(
                "!has(self.blocking) || !has(self.outcome) || "
                "self.blocking.all(b, !self.outcome.exists(o, o.name == b.name))",
                "has an alarm in blocking and in outcome; name it in outcome only, which keeps a run from starting too",
            ),
        )
    )

    prometheus: Prometheus = Field(description="The server that is asked.")
    blocking: Questions = Field(
        default=(), description="A run does not start while one of these is true, or cannot be asked by any location."
    )
    outcome: Questions = Field(
        default=(),
        description="Watched all along a run: when one fires, or no location has been able to ask it for a minute, the "
        "agents come back and the run has Failed. A run does not start while one is true either.",
    )

    @property
    def all(self) -> tuple[Alarm, ...]:
        return (*self.blocking, *self.outcome)

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if not self.all:
            raise ValueError("names no alarm; add one to blocking or to outcome, or leave spec.alarms out")
        if (name := twice(alarm.name for alarm in self.all)) is not None:
            raise ValueError(f"names alarm {name} twice; name it once, in outcome when it shall do both")
        return self
