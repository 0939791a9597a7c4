"""The table of objects, and the settings from the environment."""

import pytest

from tandem.errors import ConfigError
from tandem.operator.objects import Table
from tandem.operator.settings import Settings
from tests.support.manifests import group
from tests.unit.operator.objects import seen


def test_older_looks_change_nothing_and_newer_ones_do() -> None:
    table = Table()
    assert table.update(seen(group(), resourceVersion="5"))
    assert not table.update(seen(group(), resourceVersion="5"))
    assert not table.update(seen(group(agents=1), resourceVersion="4"))
    assert table.update(seen(group(agents=2), resourceVersion="6"))
    # The same version looks different once the CRD has changed.
    assert table.update(seen(group(agents=3), resourceVersion="6"))


def test_a_deleted_object_does_not_come_back_by_a_list_that_was_on_its_way() -> None:
    table = Table()
    gone = seen(group(), resourceVersion="5")
    table.update(gone)
    assert table.remove(gone)
    assert not table.update(seen(group(), resourceVersion="5"))
    assert table.update(seen(group(), uid="another", resourceVersion="9"))
    assert not table.remove(gone), "its successor is another object"


def test_what_a_list_does_not_show_has_vanished_unless_it_is_newer_than_the_list() -> None:
    table = Table()
    table.update(seen(group("old"), resourceVersion="5"))
    table.update(seen(group("young"), resourceVersion="12"))
    assert "agentgroups" not in table.listed
    assert [one.short_name for one in table.vanished("agentgroups", [], version=10)] == ["old"]
    assert "agentgroups" in table.listed


GOOD = {"TANDEM_SITE": "east", "TANDEM_STORE_ENDPOINTS": "https://198.18.0.11:32379,https://198.18.0.12:32379"}


def test_settings_are_read() -> None:
    found = Settings.from_environment({**GOOD, "TANDEM_LIVENESS_PORT": "9000", "TANDEM_CREDENTIALS": "/run/x"})
    assert (found.site, found.liveness_port, str(found.credentials)) == ("east", 9000, "/run/x")
    assert found.endpoints == ("https://198.18.0.11:32379", "https://198.18.0.12:32379")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TANDEM_SITE", ""),
        ("TANDEM_STORE_ENDPOINTS", ""),
        ("TANDEM_STORE_ENDPOINTS", "198.18.0.11:32379"),
        ("TANDEM_LIVENESS_PORT", "many"),
        ("TANDEM_LIVENESS_PORT", "70000"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.from_environment({**GOOD, name: value})
    assert name in str(refused.value)
    assert value in str(refused.value)
