"""The times that a Site states must fit together: its target is one that its own figures allow."""

import pytest
from pydantic import ValidationError

from tandem.api.site import SiteSpec, rescue_ms
from tests.support.manifests import site, system


def cti(agents: int, per_second: int) -> dict[str, object]:
    capacity = {"agents": agents, "signInsPerSecond": per_second}
    return system(cti={**system()["cti"], "capacity": capacity})


@pytest.mark.parametrize(
    ("detection", "agents", "per_second", "needed"),
    [
        pytest.param({}, 1000, 1000, 4900, id="heartbeat-is-slowest"),
        pytest.param({"confirmAfter": "4s"}, 1000, 1000, 6400, id="confirmation-is-slowest"),
        pytest.param({}, 1500, 500, 6900, id="sign-ins-are-slow"),
    ],
)
def test_the_bound_follows_from_the_figures(
    detection: dict[str, str], agents: int, per_second: int, needed: int
) -> None:
    spec = SiteSpec.model_validate(site(systems=[cti(agents, per_second)], detection=detection)["spec"])
    assert rescue_ms(spec.detection, spec.systems[0]) == needed


def test_a_target_that_cannot_be_kept_is_refused_with_the_figures() -> None:
    with pytest.raises(ValidationError, match=r"target is 4s, but by its own figures hotel needs 4900 ms"):
        SiteSpec.model_validate(site(systems=[cti(1000, 1000)], detection={"target": "4s"})["spec"])
    SiteSpec.model_validate(site(systems=[cti(1000, 1000)], detection={"target": "5s"})["spec"])
