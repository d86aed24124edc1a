"""Tests of `edgellm.errors`."""

import re

import pytest

from edgellm import errors
from edgellm.errors import EdgeLLMError


def _classes(root: type[EdgeLLMError] = EdgeLLMError) -> list[type[EdgeLLMError]]:
    own = [child for child in root.__subclasses__() if child.__module__ == errors.__name__]
    return [root, *(found for child in own for found in _classes(child))]


@pytest.mark.parametrize("kind", _classes(), ids=lambda kind: kind.__name__)
def test_every_error_survives_a_process_boundary(kind) -> None:
    error = kind("what happened and what to do next")
    rebuilt = errors.from_code(error.code, str(error), errors.details(error))
    assert type(rebuilt) is kind
    assert str(rebuilt) == str(error)


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in _classes()]
    assert len(codes) == len(set(codes)) > 15


def test_numbers_survive_with_their_type() -> None:
    overflow = errors.ContextOverflow("too long", needed=9000, available=8192)
    rebuilt = errors.from_code(overflow.code, "too long", {"needed": 9000.0, "available": 8192.0})
    assert isinstance(rebuilt, errors.ContextOverflow)
    assert (rebuilt.needed, rebuilt.available) == (9000, 8192)
    assert isinstance(rebuilt.needed, int)
    full = errors.from_code("queue_full", "full", errors.details(errors.QueueFull("full", retry_after_s=2.5)))
    assert isinstance(full, errors.QueueFull) and full.retry_after_s == 2.5


def test_a_class_without_a_code_of_its_own_crosses_as_its_parent() -> None:
    class _Passing(errors.Unavailable):
        """As a room may have it for itself."""

    rebuilt = errors.from_code(_Passing.code, "gone")
    assert type(rebuilt) is errors.Unavailable


def test_an_unknown_code_gives_the_root() -> None:
    error = errors.from_code("of_the_future", "words", {"needed": 1.0})
    assert type(error) is EdgeLLMError and str(error) == "words"


def test_details_that_the_error_does_not_have_are_left_out() -> None:
    assert not hasattr(errors.from_code("queue_full", "full", {"needed": 1.0}), "needed")


def test_the_tree_on_top_of_the_module_is_the_tree() -> None:
    drawn = re.findall(r"^(?: [│ ]   |)*(?: [├└]── )?(\w+)(?:  |$)", errors.__doc__ or "", re.MULTILINE)
    assert [name for name in drawn if name.isidentifier()] == [kind.__name__ for kind in _classes()]
