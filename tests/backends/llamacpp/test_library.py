"""The native log is put together from pieces and kept for error messages; loading is done once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgellm.backends.llamacpp import library
from edgellm.backends.llamacpp.library import NativeLog

INFO, WARN, ERROR, CONTINUED = 2, 3, 4, 5


def test_pieces_become_lines() -> None:
    log = NativeLog()
    log.write(INFO, b"one ")
    log.write(CONTINUED, b"line\nand ")
    log.write(CONTINUED, b"another\n")
    assert log.since(0) == ["one line", "and another"]


def test_only_what_was_written_after_the_mark_counts() -> None:
    log = NativeLog()
    log.write(ERROR, b"old\n")
    mark = log.mark()
    log.write(INFO, b"chatter\n")
    log.write(WARN, b"odd\n")
    log.write(ERROR, b"broken\n")
    assert log.since(mark) == ["chatter", "odd", "broken"]
    assert log.since(mark, problems=True) == ["odd", "broken"]
    assert log.since(log.mark()) == []


def test_memory_is_bounded_and_progress_dots_are_left_out() -> None:
    log = NativeLog(keep=10)
    for index in range(100):
        log.write(INFO, b"....\n")
        log.write(INFO, f"line {index}\n".encode())
    assert log.since(0) == [f"line {index}" for index in range(90, 100)]


def test_bytes_that_are_no_text_do_not_matter() -> None:
    log = NativeLog()
    log.write(ERROR, b"\xff\xfe token\n")
    log.write(ERROR, None)
    assert log.since(0) == ["\ufffd\ufffd token"]


def test_loading_is_done_once() -> None:
    assert library.load() is library.load()


@pytest.mark.timeout(60)
def test_the_package_of_the_binding_can_still_be_imported_whole() -> None:
    """We load only its low-level module; somebody else's `import llama_cpp` must find that same module inside."""
    program = (
        "import sys; from edgellm.backends.llamacpp import library; binding = library.load();"
        "assert 'diskcache' not in sys.modules and 'llama_cpp' not in sys.modules;"
        "import llama_cpp; assert llama_cpp.llama_decode is binding.llama_decode; print(llama_cpp.__version__)"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "0.3.36"


@pytest.mark.timeout(60)
def test_importing_the_backend_loads_nothing_native() -> None:
    program = (
        "import sys, edgellm.backends.llamacpp; sys.exit(any(name.startswith('llama_cpp') for name in sys.modules))"
    )
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0
