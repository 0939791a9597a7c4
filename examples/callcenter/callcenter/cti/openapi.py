"""The CTI contract as a document: `contract.yaml` is its source, served as JSON."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document. Callers do not change it."""
    text = files("callcenter.cti").joinpath("contract.yaml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded
