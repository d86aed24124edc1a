"""Makes SmolLM2 in MLX's and ONNX Runtime's formats out of its GGUF file: `make_folders.py [--gguf FILE] [--out OUT]`.

Unless told otherwise the file is the one that scripts/test_models.py fetches, and OUT is where it keeps its models.
Writes OUT/smollm2-mlx (float32, because MLX has no quick quantized kernels for processors) and OUT/smollm2-onnx (int4);
what is there already stays. Tests and benchmarks of these backends use them; edgellm itself needs none of this. It
needs, beside edgellm with its extras `mlx` and `onnx`:

    pip install torch transformers onnx onnx-ir gguf accelerate
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgellm.download.store import Store
from scripts import test_models


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = test_models.directory()
    fetched = Store(usual).path(test_models.models().entries["smollm2"])
    parser.add_argument("--gguf", type=Path, default=fetched, help="the model's file")
    parser.add_argument("--out", type=Path, default=usual, help="where the folders go")
    options = parser.parse_args()
    mlx, onnx, plain = (options.out / f"smollm2-{name}" for name in ("mlx", "onnx", "plain"))
    options.out.mkdir(parents=True, exist_ok=True)
    if not (mlx.is_dir() and onnx.is_dir()):
        _unpack(options.gguf.absolute(), plain)
    if not mlx.is_dir():
        _run("mlx_lm", "convert", "--hf-path", str(plain), "--mlx-path", str(mlx), "--dtype", "float32")
    if not onnx.is_dir():
        cache = options.out / "builder-cache"
        builder = "onnxruntime_genai.models.builder"
        _run(builder, "-i", str(plain), "-o", str(onnx), "-p", "int4", "-e", "cpu", "-c", str(cache))
        shutil.rmtree(cache, ignore_errors=True)
    shutil.rmtree(plain, ignore_errors=True)
    print(mlx, onnx, sep="\n")
    return 0


def _unpack(gguf: Path, folder: Path) -> None:
    """The weights as safetensors in bfloat16, with settings and tokenizer: what both converters read."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where: dict[str, Any] = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    read = AutoModelForCausalLM.from_pretrained(**where)
    # One that was read from GGUF refuses to be saved.
    fresh = AutoModelForCausalLM.from_config(read.config, dtype=torch.bfloat16)
    fresh.load_state_dict({name: tensor.to(torch.bfloat16) for name, tensor in read.state_dict().items()})
    fresh.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
    path = folder / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings.pop("quantization_config", None)  # it tells of the GGUF file
    # mlx-lm looks for it where it always was; without it the text turns to nonsense.
    settings.setdefault("rope_theta", settings.get("rope_parameters", {}).get("rope_theta", 10_000.0))
    path.write_text(json.dumps(settings, indent=2), encoding="utf-8")


def _run(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
