"""Grammars are compiled once, beside the loop, kept up to a bound, and never waited for without end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edgellm.backends.fake import ByteVocabulary
from edgellm.chat.grammar import grammar_source
from edgellm.errors import RequestError
from edgellm.request import Format, GrammarFormat, JsonFormat, SchemaFormat
from edgellm.runtime.grammars import Grammars


def regex(text: str) -> GrammarFormat:
    return GrammarFormat(text, "regex")


async def test_equal_formats_share_one_grammar() -> None:
    made = Grammars(ByteVocabulary())
    first, *others = await asyncio.gather(*(made.compiled(SchemaFormat({"type": "integer"})) for _ in range(5)))
    assert all(other.grammar is first.grammar for other in others)
    assert (await made.compiled(JsonFormat())).grammar is not first.grammar


async def test_the_longest_unused_is_forgotten() -> None:
    made = Grammars(ByteVocabulary(), kept=2)
    a, b = (await made.compiled(regex("a"))).grammar, (await made.compiled(regex("b"))).grammar
    assert (await made.compiled(regex("a"))).grammar is a
    await made.compiled(regex("c"))
    assert (await made.compiled(regex("a"))).grammar is a
    assert (await made.compiled(regex("b"))).grammar is not b


async def test_an_error_is_each_callers_own_and_not_kept() -> None:
    made = Grammars(ByteVocabulary())
    results = await asyncio.gather(*(made.compiled(regex("(")) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, RequestError) for result in results)
    assert (await made.compiled(regex("(a)"))).warnings == ()


async def test_who_leaves_does_not_take_the_work_from_the_others() -> None:
    made = Grammars(ByteVocabulary())
    leaving, staying = (asyncio.create_task(made.compiled(JsonFormat())) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).grammar is not None


async def test_nobody_waits_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, real = threading.Event(), grammar_source

    def slow(format: Format) -> object:
        assert threading.current_thread() is not threading.main_thread()
        gate.wait(10)
        return real(format)

    monkeypatch.setattr("edgellm.runtime.grammars.grammar_source", slow)
    made = Grammars(ByteVocabulary(), longest_s=0.05)
    with pytest.raises(RequestError, match="simpler"):
        await made.compiled(JsonFormat())
    gate.set()
    patient = Grammars(ByteVocabulary())
    assert (await patient.compiled(JsonFormat())).grammar is not None
    made.close()


@pytest.mark.parametrize(
    "format", [regex("\ud800"), SchemaFormat({"const": "\ud800"}), SchemaFormat({"const": object()})]
)
async def test_what_is_not_json_is_refused(format: Format) -> None:
    with pytest.raises(RequestError, match="sound"):
        await Grammars(ByteVocabulary()).compiled(format)
