"""Models that are folders, through a worker process like any other: MLX's and ONNX Runtime's, with random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from edgellm import messages
from edgellm.config import Settings
from edgellm.errors import NotAModel, TemplateError, Unsupported, UnsupportedModel
from edgellm.events import Event, Failed, Finished, Text
from edgellm.fit.backend_choice import ALL
from edgellm.machine.machine import Machine
from edgellm.model import Model
from edgellm.request import GREEDY, ChatRequest, Conversation, GrammarFormat, Input, Prompt
from edgellm.runtime import assemble, installed, model_backend
from tests import tiny_folder
from tests.machine.test_machine import PLAIN

TINY_ONNX = Path(__file__).parent.parent / "backends" / "tiny-onnx"
SETTINGS = Settings(backend="auto", threads=1, context=512, slots=4, parallel=4, batch=64)
TEXT = "the capital of France is Paris"
WEIGHTS = {"mlx": "model.safetensors", "onnx": "model.onnx.data"}
NAMES = {"mlx": ("mlx_lm", "MLX"), "onnx": ("onnxruntime_genai", "ONNX Runtime")}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path / "home"))


@pytest.fixture(params=NAMES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(kind: str, tmp_path: Path) -> Path:
    if kind == "mlx":
        return tiny_folder.build(tmp_path)
    return shutil.copytree(TINY_ONNX, tmp_path / "tiny-onnx")


@pytest.fixture
def installed_here(kind: str) -> None:
    pytest.importorskip(NAMES[kind][0], reason=f"needs the extra `{kind}`")


def ask(input: Input, **options: Any) -> ChatRequest:
    given = {"sampling": GREEDY, "max_tokens": 16, "ignore_eos": True} | options
    return ChatRequest(input=input, **given)


async def answer(model: Model, request: ChatRequest) -> tuple[str, Finished]:
    text = ""
    async for event in model.stream(request):
        match event:
            case Text(text=piece):
                text += piece
            case Finished():
                return text, event
            case Failed(message=message):
                raise AssertionError(message)
    raise AssertionError("it never finished")


@pytest.mark.usefixtures("installed_here")
async def test_it_answers_like_any_other(folder: Path, kind: str) -> None:
    model = assemble.open_model(str(folder), SETTINGS)
    try:
        first, _ = await answer(model, ask(Prompt(TEXT)))
        again, end = await answer(model, ask(Prompt(TEXT)))
        assert (again, end.usage.cached_tokens > 0) == (first, True)
        assert (await answer(model, ask(Prompt(TEXT), speculation="ngram")))[0] == first
        shaped, _ = await answer(model, ask(Prompt(TEXT), format=GrammarFormat("[a-c]{3}", "regex"), ignore_eos=False))
        assert len(shaped) == 3 and set(shaped) <= set("abc")
        talk = Conversation((messages.user("hello"),))
        assert (await answer(model, ask(talk)))[1].usage.completion_tokens == 16
        assert (model.info.backend, model.info.context_length) == (NAMES[kind][1], 512)
        async with aclosing(cast("AsyncGenerator[Event]", model.stream(ask(Prompt(TEXT), max_tokens=400)))) as events:
            async for event in events:
                if isinstance(event, Text):
                    break
        assert (await answer(model, ask(Prompt(TEXT))))[0] == first, "whoever left is out of the way"
    finally:
        await model.aclose()


@pytest.mark.usefixtures("installed_here")
async def test_a_draft_of_the_same_kind_guesses_for_it(folder: Path) -> None:
    model = assemble.open_model(str(folder), replace(SETTINGS, draft=str(folder)))
    try:
        plain, _ = await answer(model, ask(Prompt(TEXT), speculation="off"))
        assert (await answer(model, ask(Prompt(TEXT), speculation="draft")))[0] == plain
        assert model.info.notes == ()
    finally:
        await model.aclose()


def _cut(folder: Path, kind: str) -> None:
    file = folder / WEIGHTS[kind]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _no_tokenizer(folder: Path, kind: str) -> None:
    (folder / "tokenizer.json").unlink()


def _nonsense(folder: Path, kind: str) -> None:
    (folder / "tokenizer.json").write_text("{}")


def _too_wide(folder: Path, kind: str) -> None:
    """Another model's tokenizer: its tokens are more than this one knows."""
    described = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = described["model"]["vocab"]
    vocabulary |= {f"more{at}": len(vocabulary) + at for at in range(5000)}
    (folder / "tokenizer.json").write_text(json.dumps(described))


@pytest.mark.usefixtures("installed_here")
@pytest.mark.parametrize("break_it", [_cut, _no_tokenizer, _nonsense, _too_wide])
def test_a_broken_folder_is_told_of(folder: Path, kind: str, break_it: Callable[[Path, str], None]) -> None:
    break_it(folder, kind)
    with pytest.raises(NotAModel) as caught:
        model_backend.load(folder, SETTINGS)
    told = str(caught.value)
    assert str(folder) in told and "ownload" in told and "\n" not in told and ".cc:" not in told


@pytest.mark.usefixtures("installed_here")
async def test_what_a_worker_cannot_load_harms_nobody_else(folder: Path, kind: str) -> None:
    _cut(folder, kind)
    model = assemble.open_model(str(folder), SETTINGS)
    try:
        for _ in range(2):
            with pytest.raises(NotAModel, match="ownload"):
                await answer(model, ask(Prompt(TEXT)))
    finally:
        await model.aclose()


@pytest.mark.usefixtures("installed_here")
async def test_a_hostile_template_harms_nobody(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(
        "{% for i in range(10**9) %}{% for j in range(10**9) %}x{% endfor %}{% endfor %}"
    )
    model = assemble.open_model(str(folder), SETTINGS)
    try:
        with pytest.raises(TemplateError):
            await answer(model, ask(Conversation((messages.user("hello"),))))
        assert (await answer(model, ask(Prompt(TEXT))))[0]
    finally:
        await model.aclose()


def test_settings_that_name_another_library_are_told(folder: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"llama\.cpp was asked for"):
        assemble.open_model(str(folder), Settings(backend="llama.cpp"))


def test_a_missing_library_names_the_extra(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "names", lambda: ALL - {NAMES[kind][1]})
    with pytest.raises(Unsupported, match=rf"pip install 'edgellm\[{kind}\]'"):
        assemble.open_model(str(folder), SETTINGS)


def test_why_it_is_loaded_so_is_told(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "names", lambda: ALL)
    machine: Machine = PLAIN
    monkeypatch.setattr(assemble, "detect", lambda: machine)
    told = dict(assemble.open_named(str(folder), SETTINGS).explanation.lines[:4])
    assert told["backend"].startswith(NAMES[kind][1])
    assert told["threads"] == "1: the settings say so"
    assert told["quantization"].startswith({"mlx": "f32", "onnx": "int4"}[kind])
    assert folder.name in told["model"]
