"""AgentsError
- SitesError       the file of sites cannot be read or does not fit the directory
- SelectionError   the groups or the shard asked for hold nobody"""


class AgentsError(Exception):
    """What keeps this process from starting; the message says what to change."""


class SitesError(AgentsError):
    """The file of sites is wrong."""


class SelectionError(AgentsError):
    """The command line asks for agents that the directory does not have."""
