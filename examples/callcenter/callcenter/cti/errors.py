"""Errors of the CTI.

CtiError
  - ConfigError     an environment variable is missing or wrong: names variable, value and remedy
  - RequestError    a request on the control port that cannot be understood: names the field
  - WrongBootError  a push was meant for another life of this process
  - NotKeptError    the disk does not take what must be on it first; trying again may help
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


class WrongBootError(CtiError):
    """A push for a life of this process that is over: what it says may be older than what others know by now."""


class NotKeptError(CtiError):
    """What must survive a restart could not be written to the disk."""
