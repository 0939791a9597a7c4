"""A Site's guests are shared out between its systems."""

import pytest

from tandem.api.site import SiteSpec
from tandem.domain.guests import guest_capacity
from tests.unit.domain.world import site_spec


def a_site(guests: int, *systems: str) -> SiteSpec:
    return SiteSpec.model_validate(site_spec("east", *systems, guestCapacity=guests))


@pytest.mark.parametrize(
    ("site", "system", "guests"),
    [
        pytest.param(a_site(100, "hotel"), "hotel", 100, id="one-system-has-all"),
        pytest.param(a_site(100, "hotel", "flight"), "flight", 50, id="equal-systems-share-alike"),
        pytest.param(a_site(100, "hotel", "flight", "car"), "car", 33, id="never-more-in-all"),
        pytest.param(a_site(0, "hotel"), "hotel", 0, id="none"),
        pytest.param(a_site(100, "hotel"), "flight", 0, id="another-system"),
        pytest.param(None, "hotel", 0, id="no-such-site"),
    ],
)
def test_each_systems_part(site: SiteSpec | None, system: str, guests: int) -> None:
    assert guest_capacity(site, system) == guests


def test_the_larger_system_has_the_larger_part() -> None:
    document = site_spec("east", "hotel", "flight", guestCapacity=100)
    document["systems"][0]["cti"]["capacity"]["agents"] = 500
    site = SiteSpec.model_validate(document)
    assert (guest_capacity(site, "hotel"), guest_capacity(site, "flight")) == (25, 75)
