"""Commands to a Drill: the annotation `tandem.dev/drill-request` on its object, in any cluster; each acts once."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tandem.api.common import WHO_LETTERS
from tandem.domain.commands import ambiguity

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
    try:
        request = DrillRequest.model_validate_json(annotation)
        wrong = ambiguity(annotation)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        wrong = f"{'.'.join(str(part) for part in first['loc']) or 'it'}: {first['msg']}"
    if not wrong:
        return request
    return (
        f"annotation tandem.dev/drill-request is {annotation[:200]!r}: {wrong}; "
        "use `kubectl tandem drill run` or `abort`"
    )
