"""The components of a system that only a deep probe tests, and which path each one speaks of.

A synthetic sign-in speaks of the CTI, a synthetic call of the softswitch. Their words have keys like all observations.
"""

from typing import Final

SIGN_IN: Final = "sign-in"
CALL: Final = "call"
DEEP: Final = (SIGN_IN, CALL)
