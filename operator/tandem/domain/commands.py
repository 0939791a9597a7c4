"""Commands in annotations: JSON that an admission policy has looked through before, and it reads no JSON, only text."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

C = TypeVar("C", bound=BaseModel)


def read(kind: type[C], annotation: str) -> C | str:
    """The command; or what is wrong with it, the field first."""
    try:
        command = kind.model_validate_json(annotation)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(str(part) for part in first['loc']) or 'it'}: {first['msg']}"
    return _ambiguity(annotation) or command


class _AmbiguousError(Exception):
    """Says what is ambiguous."""


def _ambiguity(annotation: str) -> str:
    """Why a policy may have read another name in this command than is meant now. Empty: it has not.

    Of a name that stands there twice the last value counts, and a policy finds either; one in a value of its own, or at
    the end of a name that has quotes in it, counts for nothing, and is found as well.
    """
    try:
        json.loads(annotation, object_pairs_hook=_plain)
    except _AmbiguousError as error:
        return str(error)
    except ValueError:
        return ""
    return ""


def _plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _AmbiguousError(f"{name} stands there twice")
        if '"' in name:
            raise _AmbiguousError("a name has quotes in it")
        if isinstance(value, dict | list):
            raise _AmbiguousError(f"{name} is no plain value")
        found[name] = value
    return found
