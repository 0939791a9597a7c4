"""Commands to a Drill: the annotation `tandem.dev/drill-request` on its object, in any cluster; each acts once."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from tandem.api.common import WHO_LETTERS
from tandem.domain import commands

ANSWERS_KEPT: Final = 10
"""Commands whose answers are kept: several people may ask at once, in one cluster or in several."""


class DrillRequest(BaseModel):
    """What the annotation says."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(min_length=1, max_length=128)
    action: Literal["run", "abort"]
    by: str = Field(min_length=1, max_length=WHO_LETTERS)
    at: float = Field(description="When it was asked, seconds since the epoch: one that comes late is not followed.")


def parse_request(annotation: str) -> DrillRequest | str | None:
    """The request in an annotation; a sentence that says what is wrong with it; None when there is none."""
    if not annotation:
        return None
    found = commands.read(DrillRequest, annotation)
    if isinstance(found, DrillRequest):
        return found
    return (
        f"annotation tandem.dev/drill-request is {annotation[:200]!r}: {found}; "
        "use `kubectl tandem drill run` or `abort`"
    )
