"""The libraries' own greedy generation, without edgellm: what its backends for folders are held against."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence as Seq
from pathlib import Path
from typing import Any, NamedTuple


class Written(NamedTuple):
    """Tokens in order, and the milliseconds from the first of them to the last."""

    tokens: list[int]
    milliseconds: float


Write = Callable[[Seq[int], int], Written]
"""Goes on from these tokens for so many more, or until the library stops at an end token."""


def of_mlx(folder: Path, threads: int) -> Write:
    """mlx-lm's `generate_step`; MLX decides itself how many threads compute."""
    import mlx.core as mx
    from mlx_lm.generate import generate_step
    from mlx_lm.utils import load_model

    model, _ = load_model(folder)

    def write(prompt: Seq[int], count: int) -> Written:
        return _timed(int(token) for token, _ in generate_step(mx.array(list(prompt)), model, max_tokens=count))

    return write


def of_onnx(folder: Path, threads: int) -> Write:
    """onnxruntime-genai's generator, which picks the tokens itself."""
    import json

    import onnxruntime_genai as genai

    config = genai.Config(str(folder))
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
    model = genai.Model(config)

    def write(prompt: Seq[int], count: int) -> Written:
        params = genai.GeneratorParams(model)
        params.set_search_options(max_length=len(prompt) + count, batch_size=1, do_sample=False)
        generator = genai.Generator(model, params)
        generator.append_tokens(list(prompt))

        def tokens() -> Any:
            for _ in range(count):
                if generator.is_done():  # it would go on with the end token for ever
                    return
                generator.generate_next_token()
                yield int(generator.get_next_tokens()[0])

        return _timed(tokens())

    return write


def _timed(tokens: Any) -> Written:
    found, first = [], 0.0
    for token in tokens:
        first = first or time.perf_counter()
        found.append(token)
    return Written(found, 1000 * (time.perf_counter() - first))


LOOPS: dict[str, Callable[[Path, int], Write]] = {"mlx": of_mlx, "onnx": of_onnx}
