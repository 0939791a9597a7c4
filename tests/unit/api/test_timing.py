"""The times that a Site states must fit together: its target is one that its own figures allow."""

from typing import Any

import pytest
from pydantic import ValidationError

from tandem.api.crd import structural
from tandem.api.site import Detection, SiteSpec, rescue
from tandem.domain.streaks import Rule
from tests.support.manifests import site, system


def cti(agents: int, per_second: int, lease: str | None = None) -> dict[str, object]:
    capacity = {"agents": agents, "signInsPerSecond": per_second}
    return system(cti={**system()["cti"], "capacity": capacity, **({"lease": lease} if lease else {})})


@pytest.mark.parametrize(
    ("detection", "lease", "agents", "per_second", "needed"),
    [
        pytest.param({}, "2700ms", 1000, 1000, 4900, id="heartbeat-is-slowest"),
        pytest.param({}, None, 1000, 1000, 4900, id="no-lease-is-given"),
        pytest.param({"confirmAfter": "4s"}, "2700ms", 1000, 1000, 6400, id="confirmation-is-slowest"),
        pytest.param({}, "2700ms", 1500, 500, 6900, id="sign-ins-are-slow"),
        pytest.param({"interval": "2s", "confirmAfter": "2500ms"}, "2700ms", 1000, 1000, 6400, id="a-slow-pace"),
        pytest.param({}, "6s", 10_000, 4000, 8960, id="the-lease-is-slowest"),
    ],
)
def test_the_bound_follows_from_the_figures(
    detection: dict[str, str], lease: str | None, agents: int, per_second: int, needed: int
) -> None:
    spec = SiteSpec.model_validate(site(systems=[cti(agents, per_second, lease)], detection=detection)["spec"])
    assert rescue(spec.detection, spec.systems[0]).needed == needed


@pytest.mark.parametrize("interval", [0.2, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("timeout", [0.2, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("confirm_after", [0.5, 1.0, 1.9, 2.0, 3.0, 6.0, 9.0])
def test_no_accusation_is_firm_later_than_the_bound_says(interval: float, timeout: float, confirm_after: float) -> None:
    """A dead city: the first failure is measured after an interval and a timeout, the next ones a beat apart."""
    stated = {"interval": interval, "timeout": timeout, "confirmAfter": max(confirm_after, interval + timeout)}
    confirm_after = stated["confirmAfter"]
    detection = Detection.model_validate({name: f"{round(1000 * seconds)}ms" for name, seconds in stated.items()})
    enough = Rule.of(interval, timeout, confirm_after).enough
    firm = interval + timeout + (enough - 1) * max(interval, timeout)
    busy = SiteSpec.model_validate(site(systems=[cti(1, 1000)])["spec"]).systems[0]
    assert rescue(detection, busy).confirmed >= round(1000 * max(firm, interval + timeout + confirm_after))


def test_a_target_that_cannot_be_kept_is_refused_with_the_figures() -> None:
    with pytest.raises(ValidationError, match="target is 4s, but by its own figures hotel needs 4900 ms"):
        SiteSpec.model_validate(site(systems=[cti(1000, 1000)], detection={"target": "4s"})["spec"])
    SiteSpec.model_validate(site(systems=[cti(1000, 1000)], detection={"target": "5s"})["spec"])


def test_the_refusal_states_every_term_with_its_number() -> None:
    """A lease of 6 s, as 10,000 agents need it: the target of 7 s was admitted, and agents were back after 8 s."""
    with pytest.raises(ValidationError) as refusal:
        SiteSpec.model_validate(site(systems=[cti(10_000, 4000, "6s")], detection={"target": "7s"})["spec"])
    assert (
        "target is 7s, but by its own figures hotel needs 8960 ms: the longest of 3000 ms (interval 500ms + timeout"
        " 500ms + confirmAfter 2s), 6060 ms (lease 6s + 1 in 100) and 3500 ms (a heartbeat and an election),"
        " + 400 ms to act, + 2500 ms (10000 agents at 4000 sign-ins a second); raise signInsPerSecond"
    ) in str(refusal.value)


@pytest.mark.parametrize(
    ("detection", "words"),
    [
        pytest.param({"interval": "0s"}, "0s is outside 100ms to 1m", id="no-interval"),
        pytest.param({"interval": "99ms"}, "99ms is outside 100ms to 1m", id="an-interval-too-short"),
        pytest.param({"timeout": "0s"}, "0s is outside 100ms to 1m", id="no-timeout"),
        pytest.param({"timeout": "2m"}, "2m is outside 100ms to 1m", id="a-timeout-too-long"),
        pytest.param({"confirmAfter": "0s"}, "0s is outside 200ms to 10m", id="no-confirmation"),
        pytest.param(
            {"confirmAfter": "999ms"},
            "confirmAfter is 999ms, but interval 500ms [+] timeout 500ms are more",
            id="one-lost-probe-and-the-next",
        ),
        pytest.param(
            {"interval": "3s", "target": "1m"}, "confirmAfter is 2s, but interval 3s [+] timeout 500ms", id="too-slow"
        ),
    ],
)
def test_times_that_would_stop_an_engine_or_make_a_hiccup_a_loss_are_refused(
    detection: dict[str, str], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        SiteSpec.model_validate(site(detection=detection)["spec"])


@pytest.mark.parametrize(
    "detection",
    [
        pytest.param({"confirmAfter": "1s"}, id="just-enough"),
        pytest.param({"interval": "100ms", "timeout": "200ms", "confirmAfter": "300ms"}, id="in-milliseconds"),
    ],
)
def test_confirmation_may_be_as_short_as_two_failures_take(detection: dict[str, str]) -> None:
    Detection.model_validate(detection)


def test_a_lease_that_is_not_given_is_counted_and_written_nowhere() -> None:
    """A field that somebody else fills in is one that an engine of the version before does not know."""
    with pytest.raises(ValidationError, match=r"2727 ms \(lease 2700ms \+ 1 in 100\)"):
        SiteSpec.model_validate(site(systems=[cti(1000, 1000)], detection={"target": "4s"})["spec"])
    spec = SiteSpec.model_validate(site(systems=[cti(1000, 1000)])["spec"])
    assert "lease" not in spec.model_dump(by_alias=True, exclude_none=True)["systems"][0]["cti"]
    schema: dict[str, Any] = structural(SiteSpec)
    systems = schema["properties"]["systems"]
    assert "default" not in systems["items"]["properties"]["cti"]["properties"]["lease"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param({"interval": "50ms"}, {"interval": "100ms"}, id="too-short"),
        pytest.param({"timeout": "2m"}, {"timeout": "1m"}, id="too-long"),
        pytest.param({"confirmAfter": "0s"}, {"confirm_after": "200ms"}, id="none"),
        pytest.param(
            {"interval": "2s", "timeout": "1s", "confirmAfter": "2s"},
            {"interval": "2s", "timeout": "1s", "confirm_after": "2s"},
            id="confirmed-too-soon",
        ),
        pytest.param({"target": "1s"}, {"target": "1s"}, id="a-target-that-cannot-be-kept"),
    ],
)
def test_what_is_stored_already_counts_as_the_nearest_that_is_allowed(
    written: dict[str, str], read: dict[str, str]
) -> None:
    manifest = site(systems=[cti(1000, 1000)], detection=written)["spec"]
    with pytest.raises(ValidationError):
        SiteSpec.model_validate(manifest)
    detection = SiteSpec.stored(manifest).detection
    assert {name: getattr(detection, name) for name in read} == read


def test_what_makes_no_sense_is_read_from_the_store_as_little_as_it_is_admitted() -> None:
    for wrong in (site(systems=[]), site(systems=[system(), system()]), site(detection={"interval": "soon"})):
        with pytest.raises(ValidationError):
            SiteSpec.stored(wrong["spec"])
