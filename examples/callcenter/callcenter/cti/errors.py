"""Errors of the CTI.

CtiError
  - ConfigError     an environment variable is missing or wrong: names variable, value and remedy
  - RequestError    a request on the control port that cannot be understood: names the field
"""


class CtiError(Exception):
    """Base of everything the CTI raises on purpose."""


class ConfigError(CtiError):
    """The environment is wrong; waiting will not help."""


class RequestError(CtiError):
    """A request that breaks the CTI contract.

    Attributes:
        field: Where in the request, for example `groups.callcenter/x.map`.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
