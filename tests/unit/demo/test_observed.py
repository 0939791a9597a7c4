"""Following the agents through their timelines."""

import json
from pathlib import Path

from demo.observed import Observed


def line(account: str, what: str, site: str) -> str:
    return json.dumps({"at": 1, "mono": 1, "account": account, "group": "callcenter/x", "event": what, "site": site})


def test_an_agent_is_where_the_last_sign_in_was(tmp_path: Path) -> None:
    floor = tmp_path / "floor-a.jsonl"
    floor.write_text(line("a1", "signed-in", "east") + "\n" + line("a2", "signed-in", "east") + "\n")
    observed = Observed([floor, tmp_path / "not-yet-there.jsonl"])
    observed.look()
    assert observed.at("east", ["a1", "a2", "a3"]) == 2

    with floor.open("a") as file:
        file.write(line("a1", "released", "east") + "\n")
    observed.look()
    assert observed.site_of == {"a2": "east"}

    with floor.open("a") as file:
        file.write(line("a1", "signed-in", "west") + "\n" + line("a1", "released", "east") + "\n")
    assert len(observed.look()) == 2
    # A late word about the place that was left does not sign anybody out of the new one.
    assert observed.site_of == {"a1": "west", "a2": "east"}
