"""The call centre of a bench, at the size that is asked for."""

from pathlib import Path
from typing import Final

from demo import quickstart
from demo.callcentre import CallCentre, Say
from lab.interface import Lab

USUAL: Final = 1000
"""Agents at east in the quickstart."""

SIGN_INS: Final = 4000
"""Sign-ins a second that a CTI bears then: what one does that has nothing else to do."""

SEVERAL_THOUSAND: Final = {"lease": 6.0, "ping": 3.0, "signInRate": SIGN_INS}
"""Lease and ping of the CTIs, seconds, for more than 2,000 agents on this machine: at the usual 0.9 s, 10,000 agents'
pings alone take both processors. A lost city's doors open after 2.7 s or later; who was pinged last waits the rest."""

COME_IN: Final = 30.0
"""Agents a second who come in on each floor then: a connection and a registration in each city are most of the work."""


def file_name(what: str, agents: int) -> str:
    """What a bench's files are called, without their ending."""
    return what if agents == USUAL else f"{what}-{agents}"


def centre_of(agents: int, lab: Lab, folder: Path, say: Say) -> CallCentre:
    """The quickstart with `agents` at east; at west as many as ever, 200."""
    if agents == USUAL:
        return CallCentre(lab, quickstart.load(), folder, say=say)
    chosen = quickstart.scaled(agents / USUAL, folder / "manifests", home="east", sign_ins=SIGN_INS)
    if agents <= 2 * USUAL:
        return CallCentre(lab, chosen, folder, say=say)
    centre = CallCentre(lab, chosen, folder, say=say, cti=SEVERAL_THOUSAND)
    centre.floors.start_rate = COME_IN
    return centre
