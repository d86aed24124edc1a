"""The picker's list: what is here comes first, whoever brought it; what is known by name follows, by what fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgellm.catalog import catalog
from edgellm.config import Settings
from tests.doubles import gguf_file
from tests.doubles.shelved import shelve
from tests.doubles.vllm_server import vllm_server
from tui.choices import choices
from tui.screens.models import about

SHAPE = {
    "general.architecture": "llama",
    "general.name": "Mine",
    "general.file_type": 7,
    "llama.block_count": 1,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 128,
    "llama.attention.head_count": 4,
    "llama.context_length": 2048,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": ["a", "b"],
}
TENSORS = {
    "token_embd.weight": ((64, 2), "F32"),
    "blk.0.attn_q.weight": ((64, 64), "Q8_0"),
    "blk.0.ffn_up.weight": ((64, 128), "Q8_0"),
}


def test_what_was_brought_here_is_offered_before_what_is_only_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EDGELLM_HOME", "HOME", "OLLAMA_MODELS", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    shelve(tmp_path, "somebody/Mine-GGUF:Q8_0", gguf_file.write(tmp_path / "mine.gguf", SHAPE, TENSORS))
    found = choices(Settings())
    first, *others = found
    assert (first.name, first.here, first.verdict) == ("somebody/Mine-GGUF:Q8_0", True, "fits")
    assert first.memory < first.room and first.context
    assert not any(choice.here for choice in others)
    assert {"smollm2", "qwen2.5-coder-1.5b"} <= {choice.name for choice in others}
    assert len({choice.name for choice in found}) == len(found)
    verdicts = [choice.verdict for choice in others]
    assert verdicts == sorted(verdicts, key=["fits", "tight", "no"].index)


def test_models_of_upstreams_are_offered_beside_those_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EDGELLM_HOME", "HOME", "OLLAMA_MODELS", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with vllm_server(names=("Org/Large",)) as double:
        catalog.own_file().parent.mkdir(parents=True)
        catalog.own_file().write_text(
            f'[upstreams.far]\nurl = "{double.url}"\n[upstreams.gone]\nurl = "http://127.0.0.1:9"\nmodels = ["lost"]\n',
            encoding="utf-8",
        )
        far, gone, *known = choices(Settings(upstream_wait=20.0))
    assert (far.name, far.verdict, about(far)) == (
        "far/Org/Large",
        "remote",
        "far/Org/Large\nThe upstream far answers for it.",
    )
    assert (gone.name, gone.verdict) == ("gone/lost", "silent") and "Cannot reach" in about(gone)
    assert all(choice.verdict in ("fits", "tight", "no") for choice in known)
