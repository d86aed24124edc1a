"""Two libraries compared: on a tiny model for real, and how what was found is judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgellm.backends import ik
from scripts.benchmarks import libraries
from scripts.benchmarks.libraries import Choice, Plan
from tests import tiny_model


@pytest.mark.skipif(ik.installed() != ik.VERSION, reason="needs the extra `ik`")
def test_a_tiny_model_is_the_same_on_both(tmp_path: Path) -> None:
    rows, raw = libraries.measure(tiny_model.build(tmp_path), 1, Plan(tokens=150, prompts=2, answer=5))
    assert raw["places"] == 10 and all(row.met is not False for row in rows)
    stock, fork = raw["perplexity"].values()
    assert stock > 512 and stock == pytest.approx(fork, rel=0.005), "random weights guess worse than blindly"


@pytest.mark.parametrize(("theirs", "met"), [(8.03, True), (7.97, True), (8.05, False), (7.9, False)])
def test_perplexity_may_be_half_a_percent_apart(theirs: float, met: bool) -> None:
    assert libraries.perplexity_row(8.0, theirs).met is met


def test_texts_tokens_and_the_worst_tie() -> None:
    apart = [Choice("a", 3, 0.1, -0.1), Choice("a", 9, 0.02, -0.3), Choice("b", 1, 0.2, -0.1)]
    texts, tokens, worst = libraries.choice_rows(640, 10, apart)
    assert (texts.ours, tokens.ours, worst.ours, worst.met) == ("8 of 10", "637 of 640", "0.200", True)
    assert libraries.choice_rows(640, 10, [Choice("a", 3, 0.9, -0.1)])[2].met is False
    assert libraries.choice_rows(640, 10, [])[0].ours == "10 of 10"
