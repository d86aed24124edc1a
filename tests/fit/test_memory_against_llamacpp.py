"""What llama.cpp itself says it allocated, for tiny models of several shapes, against what fit computes."""

import re
from pathlib import Path

import pytest

from edgellm.backends.llamacpp import library
from edgellm.backends.llamacpp.context import Context
from edgellm.catalog.metadata import facts
from edgellm.config import ModelSettings
from edgellm.fit.memory import compute_bytes, kv_bytes
from edgellm.fit.placement import Placement
from tests import tiny_model

MIB = 2**20
SHAPES = {
    "wide": {"width": 256, "heads": 8, "kv_heads": 2, "head_width": 32, "feed_forward": 768},
    "many words": {"width": 128, "heads": 4, "kv_heads": 4, "head_width": 32, "vocabulary": 4096},
    "deep": {"layers": 5, "width": 128, "heads": 2, "kv_heads": 1, "head_width": 64, "feed_forward": 512},
}


def allocated(path: Path, settings: ModelSettings) -> dict[str, float]:
    """MiB by kind of buffer, as the library logs them while a context is made."""
    library.load()
    mark = library.log.mark()
    Context(path, settings).close()
    lines = "\n".join(library.log.since(mark))
    return {
        kind: sum(map(float, re.findall(rf"{kind} buffer size = +([\d.]+) MiB", lines)))
        for kind in ("KV", "compute", "output")
    }


def placed(settings: ModelSettings) -> Placement:
    return Placement(
        context=settings.context,
        slots=settings.slots,
        batch=settings.batch,
        kv_type=settings.kv_type,
        flash_attention=settings.flash_attention != "off",
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "changed",
    [{}, {"context": 2000}, {"kv_type": "q8_0"}, {"flash_attention": "off"}, {"batch": 128, "slots": 3, "parallel": 3}],
    ids=lambda changed: ",".join(changed) or "plain",
)
def test_buffers_are_as_large_as_the_library_says(
    tmp_path_factory: pytest.TempPathFactory, shape: str, changed: dict[str, object]
) -> None:
    path = tiny_model.build(tmp_path_factory.getbasetemp() / "shapes", **SHAPES[shape])
    settings = ModelSettings(**{"context": 8192, "threads": 1, **changed})  # type: ignore[arg-type]
    told, model = allocated(path, settings), facts(path)
    assert kv_bytes(model, placed(settings), model.layers) / MIB == pytest.approx(told["KV"], abs=0.006)
    assert settings.slots * model.vocabulary * 4 / MIB == pytest.approx(told["output"], abs=0.006)
    computed = compute_bytes(model, placed(settings), rows=max(64, settings.slots)) / MIB
    assert computed == pytest.approx(told["compute"], rel=0.1, abs=0.25)
