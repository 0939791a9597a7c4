"""One pace for all groups of a move: a Shift over 200 groups releases its pace a second, not 200 times that. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from callcenter.session.pacing import TokenBucket
from callcenter.session.placements import Together


@dataclass(slots=True)
class _Shared:
    bucket: TokenBucket
    revision: int


class MovePaces:
    """The token buckets that groups of one move share, by the move's name."""

    def __init__(self) -> None:
        self._by_move: dict[str, _Shared] = {}

    def of(self, together: Together, revision: int) -> TokenBucket:
        """The bucket of this move. The newest of its groups' placements says how fast it fills."""
        shared = self._by_move.get(together.move)
        if shared is None:
            shared = self._by_move[together.move] = _Shared(TokenBucket(together.pace), revision)
        elif revision >= shared.revision:
            shared.bucket.rate, shared.revision = together.pace, revision
        return shared.bucket

    def forget_all_but(self, moves: Iterable[str]) -> None:
        """Moves that no placement names any more are over."""
        living = set(moves)
        for move in [move for move in self._by_move if move not in living]:
            del self._by_move[move]
