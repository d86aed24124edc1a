"""Whether the installed ik_llama.cpp is one of the wheels that were tried, by the sums of its libraries."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

SUMS = frozenset(
    {
        # Linux, x86-64: the kernels, and what lies above them for each version of Python
        "1e62e316f0eda2e9cc3ae5e46944c299b6e658042c1aef9fdd67045835916b83",
        "cc2e99ffa20c846b7d69a061a145939d487e035ef5920ad4e6bd5b64812f4654",
        "d4089e4506533fbd25407ae86ba179e11ac190356d1e553af8b63f8a51a017d1",
        "f4e9b6ef4e5966da95d6da5c09e30b6752ce47d59f43a0aacd4b67b847c998cc",
        # Windows, the same
        "e73c42943d62f87996d2a4047e24e927eb1ab72dc6a1ec9751175cdf837d89a0",
        "dba742ebc8d7f5b0f81357a1f71c68bfb5aa999a46c2c26c479105c0cce63d12",
        "a3834c007ca9d4630ae3c35ce64deeebdd22ac7066170f9f9b339dcce2bced99",
        "56142281094596f801a03a2cc76036d7abe016ba0dc34891eb9df3810f1ca7c2",
        "4a671fdef1d00b454559bee9374c9e5945cc18184aca1418719c61ab4e8c7a64",
        "bd1475e9398f4939680cc0074c5296d731687cbdf955ba636a8f72b9f4a8f376",
    }
)
"""SHA-256 of the libraries in the wheels of version 0.1.5 for Python 3.11 to 3.13."""

_NAMES = ("libggml.so", "libllama.so", "ggml.dll", "llama.dll")


def is_known(sums: frozenset[str] = SUMS) -> bool:
    """Reads 30 MB the first time it is asked in a process."""
    found = _sums(_folder())
    return len(found) == 2 and set(found) <= sums


def stamp() -> str:
    """Changes with the libraries; cheap, and empty where there are none."""
    files = _files(_folder())
    return " ".join(f"{file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)


def _folder() -> Path | None:
    spec = importlib.util.find_spec("ik_llama_cpp")
    return Path(spec.origin).parent / "lib" if spec is not None and spec.origin else None


def _files(folder: Path | None) -> list[Path]:
    return [path for name in _NAMES if folder is not None and (path := folder / name).is_file()]


@cache
def _sums(folder: Path | None) -> tuple[str, ...]:
    found = []
    for path in _files(folder):
        with path.open("rb") as file:
            found.append(hashlib.file_digest(file, "sha256").hexdigest())
    return tuple(found)
