"""Names of models that only their makers run get a word of advice."""

from __future__ import annotations

import pytest

from edgellm.runtime.hosted_names import hint


@pytest.mark.parametrize("name", ["claude-sonnet-4-5", "gpt-4o-mini", "GPT-4.1", "o3", "o4-mini", "gemini-2.5-pro"])
def test_hosted(name: str) -> None:
    assert f"`edgellm alias {name} MODEL`" in hint(name)


@pytest.mark.parametrize("name", ["", "smollm2", "gpt-oss-20b", "olmo-2", "claudette", "qwen-o1x"])
def test_others(name: str) -> None:
    assert hint(name) == ""
