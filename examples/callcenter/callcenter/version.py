"""The version of this code, the same as pyproject.toml's (a test compares them): images have no package to ask."""

from typing import Final

VERSION: Final = "0.1.0"
