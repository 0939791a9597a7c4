"""Buckets and ranges."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.domain.buckets import bucket_of, format_ranges, parse_ranges


@pytest.mark.parametrize(("account", "bucket"), [("agent0001", 27), ("AGENT0001", 27), ("agent0002", 40)])
def test_the_bucket_of_an_account_never_changes(account: str, bucket: int) -> None:
    assert bucket_of(account) == bucket


@settings(deadline=None)
@given(st.sets(st.integers(0, 99)))
def test_ranges_are_read_as_they_are_written(buckets: set[int]) -> None:
    assert set(parse_ranges(format_ranges(buckets))) == buckets


@pytest.mark.parametrize(
    ("buckets", "text"), [((), ""), ((0,), "0"), (range(100), "0-99"), ((75, 0, 1, 2, 99), "0-2,75,99")]
)
def test_ranges_are_short(buckets: tuple[int, ...], text: str) -> None:
    assert format_ranges(buckets) == text


@pytest.mark.parametrize("text", ["x", "0-", "-1", "5-3", "0-100", "100", "0-5,3", "1,,2"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"range|within|twice"):
        parse_ranges(text)
