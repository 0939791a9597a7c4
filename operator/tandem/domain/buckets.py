"""Buckets: the stable hash of an account, and ranges of buckets as text."""

from collections.abc import Iterable
from hashlib import sha256

from tandem.constants import BUCKETS


def bucket_of(account: str) -> int:
    """Bucket (0..99) of a domain account. Upper and lower case are one account."""
    return int.from_bytes(sha256(account.lower().encode()).digest()[:8], "big") % BUCKETS


def parse_ranges(text: str) -> tuple[int, ...]:
    """Buckets in text like `0-59,75`, ascending. An empty text is no bucket.

    Raises: ValueError for anything else, a bucket named twice included.
    """
    found: list[int] = []
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        try:
            start, end = int(first), int(last if dash else first)
        except ValueError:
            raise ValueError(f"{part!r} in {text!r} is not a range of buckets; write it like 0-59,75") from None
        if not 0 <= start <= end < BUCKETS:
            raise ValueError(f"{part!r} in {text!r} is not within 0-{BUCKETS - 1}")
        found.extend(range(start, end + 1))
    if len(set(found)) != len(found):
        raise ValueError(f"{text!r} names a bucket twice")
    return tuple(sorted(found))


def format_ranges(buckets: Iterable[int]) -> str:
    """Text like `0-59,75`, the inverse of `parse_ranges`."""
    parts: list[str] = []
    start = end = -1
    for bucket in sorted(set(buckets)):
        if bucket == end + 1 and start >= 0:
            end = bucket
            continue
        if start >= 0:
            parts.append(f"{start}-{end}" if end > start else str(start))
        start = end = bucket
    if start >= 0:
        parts.append(f"{start}-{end}" if end > start else str(start))
    return ",".join(parts)
