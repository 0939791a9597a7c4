"""The times that a Site states must fit together: its target is one that its own figures allow."""

import pytest
from pydantic import ValidationError

from tandem.api.site import Detection, SiteSpec, rescue_ms
from tandem.domain.streaks import Rule
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
        pytest.param({"interval": "3s", "confirmAfter": "1s"}, 1000, 1000, 7900, id="two-failures-take-longer"),
        pytest.param({"timeout": "2s", "confirmAfter": "500ms"}, 1000, 1000, 5900, id="two-timeouts-take-longer"),
    ],
)
def test_the_bound_follows_from_the_figures(
    detection: dict[str, str], agents: int, per_second: int, needed: int
) -> None:
    spec = SiteSpec.model_validate(site(systems=[cti(agents, per_second)], detection=detection)["spec"])
    assert rescue_ms(spec.detection, spec.systems[0]) == needed


@pytest.mark.parametrize("interval", [0.2, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("timeout", [0.2, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("confirm_after", [0.5, 1.0, 1.9, 2.0, 3.0, 6.0, 9.0])
def test_no_accusation_is_firm_later_than_the_bound_says(interval: float, timeout: float, confirm_after: float) -> None:
    """A dead city: the first failure is measured after an interval and a timeout, the next ones a beat apart."""
    stated = {"interval": interval, "timeout": timeout, "confirmAfter": confirm_after}
    detection = Detection.model_validate({name: f"{round(1000 * seconds)}ms" for name, seconds in stated.items()})
    enough = Rule.of(interval, timeout, confirm_after).enough
    firm = interval + timeout + (enough - 1) * max(interval, timeout)
    busy = SiteSpec.model_validate(site(systems=[cti(1, 1000)])["spec"]).systems[0]
    assert rescue_ms(detection, busy) - 1 - 400 >= round(1000 * max(firm, interval + timeout + confirm_after))


def test_a_target_that_cannot_be_kept_is_refused_with_the_figures() -> None:
    with pytest.raises(ValidationError, match=r"target is 4s, but by its own figures hotel needs 4900 ms"):
        SiteSpec.model_validate(site(systems=[cti(1000, 1000)], detection={"target": "4s"})["spec"])
    SiteSpec.model_validate(site(systems=[cti(1000, 1000)], detection={"target": "5s"})["spec"])
