"""Models of other programs, in trees as those programs make them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edgellm.catalog import found
from edgellm.catalog.found import Found

GGUF = b"GGUF" + bytes(96)
SUM = "ab" * 32
MODEL = "application/vnd.ollama.image.model"
PROJECTOR = "application/vnd.ollama.image.projector"


def put(path: Path, data: bytes = GGUF) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def manifest(top: Path, place: str, layers: list[dict[str, object]]) -> Path:
    return put(top / "manifests" / place, json.dumps({"schemaVersion": 2, "layers": layers}).encode())


def layer(digest: str = f"sha256:{SUM}", size: int = 100, kind: str = MODEL) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest, "size": size}


def test_nothing_is_there(tmp_path: Path) -> None:
    assert found.models({}, tmp_path) == []
    assert found.models({"OLLAMA_MODELS": "/no/such", "HF_HOME": "~/no"}, tmp_path / "no") == []


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("registry.ollama.ai/library/llama3.2/latest", "llama3.2:latest"),
        ("registry.ollama.ai/someone/tuned/7b", "someone/tuned:7b"),
        ("hf.co/bartowski/Llama-GGUF/Q4_K_M", "hf.co/bartowski/Llama-GGUF:Q4_K_M"),
    ],
)
def test_a_model_of_ollama_has_the_name_it_has_there(tmp_path: Path, place: str, name: str) -> None:
    top = tmp_path / ".ollama" / "models"
    blob = put(top / "blobs" / f"sha256-{SUM}")
    manifest(top, place, [layer(), layer(f"sha256:{'cd' * 32}", kind=PROJECTOR)])
    assert found.models({}, tmp_path) == [Found(name=name, origin="ollama", path=blob, bytes=100)]


def test_ollama_may_keep_its_models_elsewhere(tmp_path: Path) -> None:
    blob = put(tmp_path / "disk" / "blobs" / f"sha256-{SUM}")
    manifest(tmp_path / "disk", "registry.ollama.ai/library/a/b", [layer()])
    (only,) = found.models({"OLLAMA_MODELS": str(tmp_path / "disk")}, tmp_path / "home")
    assert only.path == blob
    (only,) = found.models({"OLLAMA_MODELS": "~/disk"}, tmp_path)
    assert only.path == blob


@pytest.mark.parametrize(
    "layers",
    [
        [layer("sha256:../../../../etc/passwd")],
        [layer(f"sha256:{SUM}/../x")],
        [layer(f"sha256:{SUM}\n")],
        [layer(f"md5:{SUM}")],
        [layer(SUM.upper())],
        [layer(size=99)],
        [layer(kind=PROJECTOR)],
        [layer(), layer()],
        [layer(f"sha256:{'cd' * 32}")],
        [layer(f"sha256:{'ef' * 32}")],
        [],
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_left_out(tmp_path: Path, layers: list[dict[str, object]]) -> None:
    top = tmp_path / ".ollama" / "models"
    put(top / "blobs" / f"sha256-{SUM}")
    put(top / "blobs" / f"sha256-{'ef' * 32}", b"not a model" + bytes(89))
    manifest(top, "registry.ollama.ai/library/a/b", layers)
    assert found.models({}, tmp_path) == []


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"layers": 3}', b"\xff\xfe", b"[" * 100_000, b" " * 2_000_000])
def test_a_damaged_manifest_is_left_out_and_hides_no_other(tmp_path: Path, data: bytes) -> None:
    top = tmp_path / ".ollama" / "models"
    put(top / "blobs" / f"sha256-{SUM}")
    manifest(top, "registry.ollama.ai/library/good/b", [layer()])
    put(top / "manifests" / "registry.ollama.ai" / "library" / "bad" / "b", data)
    put(top / "manifests" / "stray", data)
    assert [model.name for model in found.models({}, tmp_path)] == ["good:b"]


@pytest.mark.parametrize("top", [".lmstudio/models", ".cache/lm-studio/models"])
def test_models_of_lm_studio(tmp_path: Path, top: str) -> None:
    folder = tmp_path / top / "owner" / "Some-GGUF"
    one = put(folder / "some-Q4_K_M.gguf")
    put(folder / "mmproj-some-f16.gguf")
    put(folder / "some-Q8_0.gguf", b"half a download")
    first = put(folder / "big-00001-of-00002.gguf")
    put(folder / "big-00002-of-00002.gguf")
    put(folder / "lost-00001-of-00002.gguf")
    put(tmp_path / top / "mlx-community" / "Tiny-4bit" / "config.json", b"{}")
    put(tmp_path / top / "mlx-community" / "Tiny-4bit" / "model.safetensors", bytes(40))
    listed = found.models({}, tmp_path)
    assert [(model.name, model.path, model.bytes, model.format) for model in listed] == [
        ("mlx-community/Tiny-4bit", tmp_path / top / "mlx-community" / "Tiny-4bit", 42, "mlx"),
        ("owner/Some-GGUF/big-00001-of-00002.gguf", first, 200, "gguf"),
        ("owner/Some-GGUF/some-Q4_K_M.gguf", one, 100, "gguf"),
    ]
    assert {model.origin for model in listed} == {"lm-studio"}


def test_lm_studio_may_keep_its_models_elsewhere(tmp_path: Path) -> None:
    put(tmp_path / ".lmstudio-home-pointer", str(tmp_path / "moved").encode() + b"\n")
    put(tmp_path / "moved" / "settings.json", json.dumps({"downloadsFolder": str(tmp_path / "disk")}).encode())
    put(tmp_path / "moved" / "models" / "o" / "r" / "a.gguf")
    put(tmp_path / "disk" / "o" / "r" / "b.gguf")
    put(tmp_path / "disk" / "1" / "2" / "3" / "4" / "deep.gguf")
    assert [model.name for model in found.models({}, tmp_path)] == ["o/r/a.gguf", "o/r/b.gguf"]


@pytest.mark.parametrize("settings", [b"", b"{", b'{"downloadsFolder": 3}', b'{"downloadsFolder": "here"}', b"[]"])
def test_settings_of_lm_studio_that_say_nothing(tmp_path: Path, settings: bytes) -> None:
    put(tmp_path / ".lmstudio-home-pointer", b"\0")
    put(tmp_path / ".lmstudio" / "settings.json", settings)
    put(tmp_path / ".lmstudio" / "models" / "o" / "r" / "a.gguf")
    assert [model.name for model in found.models({}, tmp_path)] == ["o/r/a.gguf"]


def snapshot(hub: Path, repository: str, revision: str, *names: str) -> Path:
    """A snapshot as the hub's client makes it: links to blobs."""
    folder = hub / f"models--{repository}"
    for number, name in enumerate(names):
        blob = put(folder / "blobs" / f"{revision}{number}")
        link = folder / "snapshots" / revision / name
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            link.symlink_to(os.path.relpath(blob, link.parent))
        except OSError:  # Windows without the right to make links: the client copies too
            link.write_bytes(blob.read_bytes())
    return folder


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({}, ".cache/huggingface/hub"),
        ({"HF_HOME": "{home}/hf"}, "hf/hub"),
        ({"HF_HOME": "{home}/hf", "HF_HUB_CACHE": "~/cache"}, "cache"),
        ({"XDG_CACHE_HOME": "{home}/xdg"}, "xdg/huggingface/hub"),
    ],
)
def test_the_cache_of_the_hub_is_where_its_variables_say(tmp_path: Path, environ: dict[str, str], place: str) -> None:
    folder = snapshot(tmp_path / place, "owner--name-GGUF", "1a2b", "a.gguf", "sub/b.gguf", "README.md")
    environ = {key: value.format(home=tmp_path) for key, value in environ.items()}
    assert [(model.name, model.path) for model in found.models(environ, tmp_path)] == [
        ("owner/name-GGUF/a.gguf", folder / "snapshots" / "1a2b" / "a.gguf"),
        ("owner/name-GGUF/sub/b.gguf", folder / "snapshots" / "1a2b" / "sub" / "b.gguf"),
    ]


def test_of_several_revisions_main_counts_and_others_add_what_it_lacks(tmp_path: Path) -> None:
    hub = tmp_path / ".cache" / "huggingface" / "hub"
    snapshot(hub, "o--n", "aaaa", "old.gguf", "both.gguf")
    folder = snapshot(hub, "o--n", "bbbb", "both.gguf")
    put(folder / "refs" / "main", b"bbbb\n")
    put(hub / "datasets--o--d" / "snapshots" / "cccc" / "x.gguf")
    put(hub / ".locks" / "x.gguf")
    assert [(model.name, model.path.parent.name) for model in found.models({}, tmp_path)] == [
        ("o/n/both.gguf", "bbbb"),
        ("o/n/old.gguf", "aaaa"),
    ]


def test_folders_of_other_formats_are_known_by_their_settings(tmp_path: Path) -> None:
    hub = tmp_path / ".cache" / "huggingface" / "hub"
    torch = snapshot(hub, "o--torch", "aaaa", "model.safetensors") / "snapshots" / "aaaa"
    put(torch / "config.json", b'{"model_type": "llama"}')
    mlx = snapshot(hub, "o--quantized", "aaaa", "model.safetensors") / "snapshots" / "aaaa"
    put(mlx / "config.json", b'{"quantization": {"bits": 4}}')
    onnx = snapshot(hub, "o--onnx", "aaaa", "cpu/model.onnx") / "snapshots" / "aaaa" / "cpu"
    put(onnx / "genai_config.json", b"{}")
    assert [(model.name, model.format, model.path, model.bytes) for model in found.models({}, tmp_path)] == [
        ("o/onnx/cpu", "onnx", onnx, 102),
        ("o/quantized", "mlx", mlx, 129),
    ]


def test_a_link_in_a_circle_and_a_link_to_nothing_do_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / ".lmstudio" / "models" / "o" / "r"
    put(folder / "a.gguf")
    try:
        (folder / "again").symlink_to(folder, target_is_directory=True)
        (folder / "gone.gguf").symlink_to(folder / "nowhere")
    except OSError:
        pytest.skip("this system makes no links")
    assert [model.name for model in found.models({}, tmp_path)] == ["o/r/a.gguf"]
