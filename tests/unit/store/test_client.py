"""What a client refuses to be made of. Everything else about it is tested against a real etcd."""

import pytest

from tandem.errors import ConfigError
from tandem.store.client import StoreClient


@pytest.mark.parametrize(
    ("endpoints", "said"),
    [
        pytest.param([], "endpoints is empty", id="nobody-to-ask"),
        pytest.param(["https://198.18.0.11:32379"], "ca is empty", id="no-authority-to-believe"),
        pytest.param(["http://198.18.0.11:1", "https://198.18.0.12:1"], "https://198.18.0.12:1", id="one-of-them"),
    ],
)
def test_a_client_that_could_not_be_sure_whom_it_asks_is_refused(endpoints: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        StoreClient(endpoints)
