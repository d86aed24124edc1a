"""What is kept is bounded by count and by bytes, and what was used last stays longest."""

from __future__ import annotations

from hypothesis import given, strategies as st

from edgellm.server.response_store import ResponseStore


def response(text: str) -> dict[str, object]:
    return {"output": [{"type": "message", "text": text}]}


def test_the_least_recently_used_goes_first() -> None:
    store = ResponseStore(most=2)
    store.put("a", response("a"), [])
    store.put("b", response("b"), [])
    assert store.get("a") is not None
    store.put("c", response("c"), [])
    assert (store.get("b"), store.get("a") is not None, len(store)) == (None, True, 2)


def test_a_conversation_ends_with_the_output() -> None:
    store = ResponseStore()
    store.put("a", response("said"), [{"id": "1"}])
    found = store.get("a")
    assert found is not None
    assert found.conversation() == [{"id": "1"}, {"type": "message", "text": "said"}]


def test_what_is_too_large_is_not_kept() -> None:
    store = ResponseStore(most_bytes=1000)
    store.put("a", response("small"), [])
    store.put("b", response("x" * 2000), [])
    assert (store.get("a") is not None, store.get("b")) == (True, None)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 400), st.booleans()), max_size=30))
def test_it_stays_within_its_bounds(steps: list[tuple[str, int, bool]]) -> None:
    store = ResponseStore(most=4, most_bytes=600)
    for id, size, drops in steps:
        if drops:
            store.drop(id)
        else:
            store.put(id, response("x" * size), [])
        kept = [found for each in "abcdef" if (found := store.get(each))]
        assert len(kept) == len(store) <= 4
        assert store.bytes == sum(len(found.body) + len(found.items) for found in kept) <= 600
