"""Times that are shorter here than in the product.

A story lasts about fifteen seconds: what takes as long as that by itself would be all that happens in it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final
from unittest.mock import patch

from callcenter.session import loans
from tandem.domain import drill_legs, rehearsal
from tandem.engine import rehearsals

LOAN_S: Final = 8.0
"""Seconds of a loan; 30 in the product."""

HOME_STABLE_S: Final = 3.0
"""Seconds for which a guest must have had the connection home; 5 in the product, doubled for who is a guest again."""

REHEARSAL_MOST_S: Final = 12.0
"""Seconds for which a rehearsal waits that a loss is confirmed; 30 in the product."""


@contextmanager
def times_shortened() -> Iterator[None]:
    """They are shorter for as long as this lasts."""
    with ExitStack() as stack:
        stack.enter_context(patch.multiple(loans, LOAN=LOAN_S, HOME_STABLE=HOME_STABLE_S))
        for module in (drill_legs, rehearsal, rehearsals):
            stack.enter_context(patch.object(module, "REHEARSAL_MOST_S", REHEARSAL_MOST_S))
        yield
