"""The errors of Tandem.

TandemError
  - ConfigError        a declaration or a setting is wrong; waiting will not help
  - TransientError     waiting may help; carries `retry_after_s`
    - DependencyError  something we call failed or did not answer
    - ConflictError    the world moved while we acted; gather again
"""


class TandemError(Exception):
    """Base of everything Tandem raises on purpose."""


class ConfigError(TandemError):
    """A declaration or a setting is wrong; the message names the field or variable, its value and the remedy."""


class TransientError(TandemError):
    """Waiting may help."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DependencyError(TransientError):
    """Something we call failed or did not answer; the message names it and what it said."""


class ConflictError(TransientError):
    """The world moved while we acted; gather again."""
