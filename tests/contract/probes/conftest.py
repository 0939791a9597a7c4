"""The softswitch fixture of the adapters' tests serves here as well."""

from tests.contract.adapters.conftest import softswitch

__all__ = ["softswitch"]
