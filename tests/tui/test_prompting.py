"""Tests of `tui.prompting` and `side_requests`: what the model is given."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgellm.messages import Message, TextPart, ToolCall, ToolResult, user
from edgellm.request import Conversation
from tui import prompting, side_requests
from tui.store.records import Cut, Entry, Options, Reply


def entry(
    id: int, speaker: str, text: str, calls: tuple[ToolCall, ...] = (), results: tuple[ToolResult, ...] = ()
) -> Entry:
    reply = Reply(text=text, state="complete", calls=calls)
    return Entry(id=id, chat=1, parent=id - 1 or None, speaker=speaker, reply=reply, results=results)  # type: ignore[arg-type]


def roles(conversation: Conversation) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in conversation.messages]


def test_answers_without_words_are_not_part_of_it() -> None:
    path = [entry(1, "user", "one"), entry(2, "assistant", ""), entry(3, "user", "two")]
    assert roles(prompting.conversation(path, Options())) == [("user", "one\n\ntwo")]


def test_a_summary_stands_before_what_is_kept() -> None:
    path = [entry(1, "user", "one"), entry(2, "assistant", "yes"), entry(3, "user", "two")]
    found = roles(prompting.conversation(path, Options(system="S"), Cut(id=1, first=3, summary="they agreed")))
    assert found[0] == ("system", "S") and len(found) == 2
    assert "they agreed" in found[1][1] and found[1][1].endswith("two")
    assert roles(prompting.conversation(path, Options(), Cut(id=1, first=99))) == roles(
        prompting.conversation(path, Options())
    )


def test_tools_are_part_of_it() -> None:
    call, result = ToolCall("1", "f", "{}"), ToolResult("1", "sunny")
    path = [entry(1, "user", "?"), entry(2, "assistant", "", (call,)), entry(3, "tool", "", results=(result,))]
    assert prompting.conversation(path, Options()).messages[1:] == (
        Message("assistant", (call,)),
        Message("tool", (result,)),
    )


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("Binary Search Bug", "Binary Search Bug"),
        ('"Kyoto in three days."\n\nI hope', "Kyoto in three days"),
        ("**Title: SQL**", "SQL"),
        ("# TITLE:  two   words ", "two words"),
        ("<think>a title? yes</think>\nDone", "Done"),
        ("<think>never ends", ""),
        ("   \n", ""),
        ("word " * 30, "word " * 11 + "word…"),
        ("C++ and C#", "C++ and C#"),
        ("Here's a title for the conversation:\n\n**Reversing a String**", "Reversing a String"),
        ("Sure! Here is a title: Old Bread", "Old Bread"),
        ('Here is a title: "Fruits of Autumn". I hope it fits.', "Fruits of Autumn"),
        ("Here's a title for our talk", ""),
        ("The perfect title for this conversation would be good", ""),
        ('A title for this conversation is "Plums".', "Plums"),
        ("How to find a title", "How to find a title"),
        ("Here Comes the Sun", "Here Comes the Sun"),
        ("Sure footing in the Alps", "Sure footing in the Alps"),
    ],
)
def test_titles_are_cleaned(written: str, title: str) -> None:
    assert side_requests.clean_title(written) == title


def test_a_wish_never_makes_two_questions_in_a_row() -> None:
    asked = side_requests.asking(Conversation((user("one"),)), "Sum up.")
    assert asked.messages == (Message("user", (TextPart("one"), TextPart("\n\nSum up."))),)


def test_the_state_machine_needs_no_screen_and_no_engine() -> None:
    code = (
        "import sys, tui.controller, tui.files, tui.commands, tui.store.search, tui.store.markdown_file\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('textual', 'rich', 'numpy', 'llama_cpp')"
        " or name.startswith(('edgellm.engine', 'edgellm.backends', 'edgellm.runtime', 'edgellm.chat'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
