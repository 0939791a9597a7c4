"""Two real cities with signed-in agents and a carrier, shared by the tests of a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.agents.two_cities import GROUP, OTHER_GROUP, TwoCities, wait_until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[TwoCities]:
    """Twenty agents in each of two groups; the first group works at east, the other one at west; a carrier."""
    with TwoCities(tmp_path, agents_per_group=20) as world:
        world.place(1, {GROUP: {"east": "0-99"}, OTHER_GROUP: {"west": "0-99"}})
        world.start_carrier()
        world.put_routes()
        world.start_agents()
        wait_until(
            lambda: world.count("signed_in", "east") == world.count("signed_in", "west") == 20,
            within=60,
            what="everybody signing in",
        )
        wait_until(
            lambda: world.count("registered", "east") == world.count("registered", "west") == 40,
            within=60,
            what="every phone registering in both cities",
        )
        # The diary is written up to 0.2 s later.
        wait_until(lambda: len(world.events()) == 40 + 80, within=2, what="the diary of all that")
        yield world
