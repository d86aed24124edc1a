"""Asks llama.cpp what memory it gives a model with these settings, in a process of its own.

The weights are found by asking: llama.cpp names each tensor that it misses and the shape that it expects. Tensors that
it could do without are not there, so it may well crash when it goes on to build its graph: it has told us by then.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.doubles import gguf_file

CELLS, SEQUENCES, BATCH = 2048, 16, 256
_MARK = "made a context:"
_MISSING = re.compile(r"tensor '([^']+)' not found")
_SHAPE = re.compile(r"tensor '([^']+)' has wrong shape; expected\s+([\d, ]+), got")
_KV = re.compile(r"\(\s*(\d+) cells,.*?K \(f16\):\s*([\d.]+) MiB, V \(f16\):\s*([\d.]+) MiB")
_STATE = re.compile(r"R \(f32\):\s*([\d.]+) MiB, S \(f32\):\s*([\d.]+) MiB")
_ROOT = Path(__file__).parent.parent.parent


def ask(settings: dict[str, Any], path: Path) -> tuple[dict[int, list[float]], float]:
    """MiB of keys and values by number of cells, and MiB of recurrent state; `path` is left as a file that loads."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.doubles.llamacpp_memory", json.dumps(settings), str(path)],
        cwd=_ROOT,
        env=os.environ | {"GGML_NO_BACKTRACE": "1"},
        capture_output=True,
        timeout=100,
    )
    said = done.stdout.decode("utf-8", "replace")
    assert _MARK in said, said[-600:] + done.stderr.decode("utf-8", "replace")[-600:]
    said = said.rpartition(_MARK)[2]
    kv: dict[int, list[float]] = {}
    for cells, keys, values in _KV.findall(said):
        sums = kv.setdefault(int(cells), [0.0, 0.0])
        sums[0] += float(keys)
        sums[1] += float(values)
    kv = {cells: sums for cells, sums in kv.items() if any(sums)}  # a cache of no layer is named too
    return kv, sum(float(part) for parts in _STATE.findall(said) for part in parts)


def _main(settings: dict[str, Any], path: Path) -> None:
    import llama_cpp

    lines: list[str] = []

    @llama_cpp.llama_log_callback
    def log(level: int, text: bytes, data: ctypes.c_void_p) -> None:
        lines.append(text.decode("utf-8", "replace"))
        os.write(1, text)

    llama_cpp.llama_log_set(log, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    model = _loaded(llama_cpp, settings, path, lines)
    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_seq_max, options.n_batch, options.n_ubatch = CELLS, SEQUENCES, BATCH, BATCH
    options.kv_unified, options.swa_full, options.flash_attn_type = True, False, 1
    os.write(1, _MARK.encode())
    llama_cpp.llama_init_from_model(model, options)


def _loaded(llama_cpp: Any, settings: dict[str, Any], path: Path, lines: list[str]) -> Any:
    tensors: dict[str, tuple[tuple[int, ...], str]] = {"token_embd.weight": ((1,), "F32")}
    for _ in range(3000):
        gguf_file.write(path, settings, tensors)
        lines.clear()
        model = llama_cpp.llama_model_load_from_file(bytes(path), llama_cpp.llama_model_default_params())
        if model:
            return model
        said = "".join(lines)
        if found := _MISSING.search(said):
            tensors[found[1]] = ((1,), "F32")
        elif found := _SHAPE.search(said):
            tensors[found[1]] = (tuple(int(size) for size in found[2].split(",")), "F32")
        else:
            break
    sys.exit(1)


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]), Path(sys.argv[2]))
