"""The common beginning of two lists, against counting item by item."""

from __future__ import annotations

from hypothesis import given, strategies as st

from edgellm.engine.common_prefix import common_prefix

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=12)


@given(TOKENS, TOKENS, st.integers(0, 14))
def test_common_prefix_counts_equal_items(a: list[int], b: list[int], limit: int) -> None:
    naive = 0
    while naive < min(len(a), len(b), limit) and a[naive] == b[naive]:
        naive += 1
    assert common_prefix(a, 0, b, 0, limit) == naive


@given(st.integers(0, 3000), st.integers(0, 50))
def test_common_prefix_of_long_lists(length: int, more: int) -> None:
    a = list(range(length)) + [-1] * more
    b = list(range(length)) + [-2] * more
    assert common_prefix(a, 0, b, 0, 10**6) == length
