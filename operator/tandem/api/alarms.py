"""Alarms: questions to a Prometheus whose answer keeps a move from starting, or brings it back."""

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from tandem.api.common import Duration, Name, Url, Within, Written, cel, list_map, rules, twice
from tandem.api.trunk import SecretRef

MOST_ALARMS: Final = 10
"""Of each kind."""


class Prometheus(Written):
    """Whom to ask. Every location asks for itself: a name that each cluster resolves to its own server is fine."""

    url: Url = Field(
        description="Base URL of the server, like http://prometheus.monitoring:9090; /api/v1/query is added."
    )
    credentials: SecretRef | None = Field(
        default=None,
        description="Secret with a bearer token, in this namespace; its annotation tandem.dev/server has to be `url`.",
    )
    timeout: Annotated[Duration, Within("100ms", "30s")] = Field(
        default="5s",
        description="Longest wait for one answer; what is not answered by then is unknown.",
    )


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
    for_: Annotated[Duration, Within("0s", "1h")] = Field(
        default="0s",
        alias="for",
        description="How long it must be true without a break before it fires. Nothing starts while it is true.",
    )


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


class GateAlarms(Written):
    """What Prometheus has to say before a wave begins."""

    prometheus: Prometheus = Field(description="The server that is asked.")
    quiet: Annotated[
        tuple[Alarm, ...], Field(min_length=1, max_length=MOST_ALARMS, json_schema_extra=list_map("name"))
    ] = Field(
        description="No wave begins while one of these is true, or cannot be asked by any location.",
    )

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if (name := twice(alarm.name for alarm in self.quiet)) is not None:
            raise ValueError(f"quiet names alarm {name} twice; give each alarm a name of its own")
        return self
