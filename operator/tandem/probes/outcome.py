"""How a deep probe ends other than by passing. The message is a part of a sentence for a person."""


class NotWorkingError(Exception):
    """They were asked and do not do their work."""


class NotTestedError(Exception):
    """It could not be found out: our own side failed, or there is nobody to test with. It accuses nobody."""
