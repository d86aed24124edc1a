"""Templates tell their tags for thoughts, and prompts whether the answer begins inside them."""

import pytest

from edgellm.chat.reasoning import THINK, ThinkingTags, thinking_of


@pytest.mark.parametrize(
    ("template", "opening"),
    [
        ("{{ content.split('</think>')[-1] }}", "<think>"),
        ("[THINK]{{ reasoning }}[/THINK]", "[THINK]"),
        ("<seed:think>{{ r }}</seed:think></think>", "<seed:think>"),
        ("<|START_THINKING|><|END_THINKING|>", "<|START_THINKING|>"),
    ],
)
def test_tags_are_found_in_the_template(template: str, opening: str) -> None:
    tags = thinking_of(template)
    assert tags is not None and tags.opening == opening


def test_plain_templates_have_none() -> None:
    assert thinking_of("{{ messages[0].content }}") is None


@pytest.mark.parametrize(
    ("prompt", "opened"),
    [
        ("<|im_start|>assistant\n<think>\n", True),
        ("<|im_start|>assistant\n<think>", True),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
        ("<|im_start|>user\nWhat does <think> mean?<|im_end|>\n<|im_start|>assistant\n", False),
        ("<|im_start|>assistant\n", False),
        ("", False),
    ],
)
def test_a_prompt_leaves_thoughts_open(prompt: str, opened: bool) -> None:
    assert THINK.open_in(prompt) is opened


def test_the_tags_may_be_words() -> None:
    tags = ThinkingTags("Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]")
    assert tags.open_in("<|begin_assistant|>\nHere are my reasoning steps:\n")
