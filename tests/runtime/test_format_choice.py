"""Which format of a model of the catalog is taken: by machine, by what is installed or here, and by the settings."""

from __future__ import annotations

import pytest

from edgellm.catalog.entry import Entry
from edgellm.catalog.sources import HubSource
from edgellm.config import Settings
from edgellm.errors import UnsupportedModel
from edgellm.fit.backend_choice import ALL
from edgellm.runtime import format_choice
from edgellm.runtime.format_choice import in_format

GGUF = HubSource(repository="maker/small-GGUF", quantizations=("Q4_K_M",))
MLX = HubSource(repository="maker/small-mlx", file="*", format="mlx", quantizations=("4-bit",))
ONNX = HubSource(repository="maker/small-onnx", file="cpu/*", format="onnx", quantizations=("int4",))
EVERY = (GGUF, MLX, ONNX)
ENTRY = Entry(name="small", title="S", family="s", license="l", quantization="Q4_K_M", sources=(GGUF,))


@pytest.fixture(autouse=True)
def _everything_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format_choice.installed, "names", lambda: ALL)
    machine(monkeypatch, "Linux", "x86_64")


def machine(monkeypatch: pytest.MonkeyPatch, system: str, arch: str) -> None:
    monkeypatch.setattr(format_choice.platform, "system", lambda: system)
    monkeypatch.setattr(format_choice.processor, "arch", lambda: arch)


def taken(settings: Settings | None = None, *here: str) -> str:
    found, _ = in_format(ENTRY, EVERY, settings or Settings(backend="auto"), lambda entry: entry.reference in here)
    return found.reference


def test_apple_silicon_takes_mlx_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken() == "small"
    machine(monkeypatch, "Darwin", "arm64")
    assert taken() == "small:4-bit"
    found, reason = in_format(ENTRY, EVERY, Settings(backend="auto"), lambda entry: False)
    assert (found.sources, reason) == ((MLX,), "MLX is the fastest on Apple Silicon")
    monkeypatch.setattr(format_choice.installed, "names", lambda: frozenset({"llama.cpp"}))
    assert taken() == "small"


def test_what_is_here_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, "Darwin", "arm64")
    assert taken(None, "small") == "small"
    assert taken(None, "small", "small:4-bit") == "small:4-bit"
    assert taken(Settings(backend="mlx"), "small") == "small:4-bit"


def test_the_settings_decide() -> None:
    assert [taken(Settings(backend=name)) for name in ("llama.cpp", "mlx", "onnx")] == [
        "small",
        "small:4-bit",
        "small:int4",
    ]
    with pytest.raises(UnsupportedModel, match=r"ONNX Runtime was asked for, .* comes for llama\.cpp"):
        in_format(ENTRY, (GGUF,), Settings(backend="onnx"), lambda entry: True)


def test_a_quantization_that_was_asked_for_decides_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, "Darwin", "arm64")
    asked = ENTRY.at("Q8_0")
    assert in_format(asked, asked.sources, Settings(backend="auto"), lambda entry: False) == (asked, "")
