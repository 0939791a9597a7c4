"""A number's capacity: channels in use and calls per second. Pure."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Limits:
    """Admits calls to one number. `None` is no limit."""

    channels: int | None = None
    calls_per_second: float | None = None
    in_use: int = 0
    _tokens: float | None = field(default=None, repr=False)
    _filled_at: float = field(default=0.0, repr=False)

    def change(self, channels: int | None, calls_per_second: float | None) -> None:
        """Take new limits; calls in progress are never ended by that."""
        self.channels, self.calls_per_second = channels, calls_per_second
        self._tokens = None

    def admit(self, now: float) -> bool:
        """Take a channel for one more call, if there is one; end it with `release`."""
        if self.channels is not None and self.in_use >= self.channels:
            return False
        if not self._take_token(now):
            return False
        self.in_use += 1
        return True

    def release(self) -> None:
        """A call is over."""
        self.in_use -= 1

    def _take_token(self, now: float) -> bool:
        rate = self.calls_per_second
        if rate is None:
            return True
        # One second's worth may come at once, and at least one call.
        most = max(1.0, rate)
        filled = most if self._tokens is None else min(most, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        self._tokens = filled - 1 if filled >= 1 else filled
        return filled >= 1
