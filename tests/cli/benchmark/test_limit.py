"""What decoding a token reads from memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgellm.catalog import metadata
from edgellm.catalog.model_facts import LayerFacts, ModelFacts
from edgellm.cli.benchmark.figures import Decode
from edgellm.cli.benchmark.limit import bytes_per_token, known_facts, limited
from edgellm.config import Settings
from tests import tiny_model


def model(*layers: LayerFacts, **fields: int) -> ModelFacts:
    return ModelFacts(
        format="gguf",
        architecture="llama",
        name="x",
        quantization="Q4_K_M",
        parameters=1,
        context=1,
        embedding=1,
        heads=1,
        feed_forward=1,
        vocabulary=1,
        layers=layers,
        **fields,  # type: ignore[arg-type]
    )


def test_weights_output_and_the_kv_of_what_came_before() -> None:
    dense = model(
        LayerFacts(key=10, value=6, weights=1000), LayerFacts(key=10, value=6, weights=1000), output_bytes=500
    )
    assert bytes_per_token(dense, 0) == 2500
    assert bytes_per_token(dense, 100) == 2500 + 2 * 100 * 16 * 2
    assert bytes_per_token(dense, 100, "q8_0") == 2500 + 2 * 100 * 16 * 34 / 32


def test_a_window_bounds_it_and_only_experts_at_work_count() -> None:
    assert bytes_per_token(model(LayerFacts(key=1, value=1, window=50, weights=0)), 1000) == 50 * 2 * 2
    mixture = model(LayerFacts(weights=1000, experts=800), experts=8, experts_used=2)
    assert bytes_per_token(mixture, 0) == 200 + 200


def test_the_limit_is_bandwidth_over_bytes() -> None:
    (found,) = limited([Decode(0, 7.0)], model(LayerFacts(weights=2000)), "f16", 1e6)
    assert (found.tokens_per_s, found.bytes_per_token, found.limit_per_s) == (7.0, 2000, 500.0)


def test_a_file_tells_and_what_is_not_here_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    file = tiny_model.build(tmp_path)
    facts = metadata.facts(file)
    assert known_facts(Settings(model=str(file))) == facts
    # Everything but the table that is looked up by row is read for each token.
    assert bytes_per_token(facts, 0) == facts.weight_bytes - facts.input_bytes
    assert known_facts(Settings(model="smollm2")) is None
    assert known_facts(Settings(model="no-such-model")) is None
