"""What can go wrong with a run, in words for the person at the terminal.

DemoError
  - NotInTimeError   something did not happen in time; says what it was and how it stood at the end
  - ToolError        kubectl, helm or another program said no; carries what it said
  - MoveError        a move did not do what was asked of it
"""


class DemoError(Exception):
    """Base of all errors that the demo prints without a traceback."""


class NotInTimeError(DemoError):
    """Waited long enough."""


class ToolError(DemoError):
    """A program said no."""


class MoveError(DemoError):
    """A move did not do what was asked of it."""
