"""What can go wrong with the lab, in words for the person at the terminal.

LabError
  - NeedsError       the machine lacks something the lab cannot install by itself
  - NamesHeldError   another living lab holds the namespaces, links and addresses
  - NotRunningError  the lab, city or component that was asked for is not there
  - BuildError       a binary or image could not be built
  - CommandError     a program we ran said no; carries its output
  - DeadlineError    something did not become ready in time
"""

from collections.abc import Sequence


class LabError(Exception):
    """Base of all errors that the command line prints without a traceback."""


class NeedsError(LabError):
    """Something is missing that only the person can provide."""


class NamesHeldError(LabError):
    """The names are taken; the message says by whom."""


class NotRunningError(LabError):
    """Asked of something that is not running."""


class BuildError(LabError):
    """A binary or image could not be built."""


class DeadlineError(LabError):
    """Waited long enough."""


class CommandError(LabError):
    """A program ended with a status other than 0."""

    def __init__(self, argv: Sequence[str], status: int, output: str) -> None:
        self.argv = list(argv)
        self.status = status
        self.output = output
        tail = "\n".join(output.strip().splitlines()[-25:])
        super().__init__(f"`{' '.join(argv)}` ended with status {status}\n{tail}")
