"""Tests of `edgellm.telemetry.log`."""

import io
import subprocess
import sys

import pytest

from edgellm.errors import ConfigError
from edgellm.telemetry import log


class _Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def stream():
    stream = io.StringIO()
    yield stream
    log.configure()


def test_a_line_is_keys_and_values(stream) -> None:
    log.configure("info", stream=stream)
    log.get("engine").info("admitted", tokens=3, reused=True, path='a "b"')
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("timestamp=")
    assert line.endswith(r'level=info logger=engine event=admitted tokens=3 reused=true path="a \"b\""')


def test_a_value_cannot_forge_a_line(stream) -> None:
    log.configure(stream=stream)
    log.get("x").warning("e", name="a\nlevel=error event=forged")
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize(("level", "lines"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_decides_what_is_written(level, lines, stream) -> None:
    log.configure(level, stream=stream)
    logger = log.get("x")
    for write in (logger.debug, logger.info, logger.warning, logger.error):
        write("happened")
    assert stream.getvalue().count("event=happened") == lines
    assert logger.enabled(level)
    assert logger.enabled("debug") is (level == "debug")


@pytest.mark.parametrize("key", ["text", "prompt", "messages", "content"])
def test_what_people_wrote_is_never_written(key, stream) -> None:
    log.configure(stream=stream)
    log.get("x").error("failed", **{key: "my secret"})
    assert "secret" not in stream.getvalue()
    assert f'{key}="<9 long>"' in stream.getvalue()


def test_a_traceback_stays_on_its_line(stream) -> None:
    log.configure(stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        log.get("x").error("failed", exc_info=True)
    assert len(stream.getvalue().splitlines()) == 1
    assert "ValueError: broken" in stream.getvalue()


def test_on_a_terminal_it_is_made_for_people() -> None:
    stream = _Terminal()
    log.configure(stream=stream)
    try:
        log.get("engine").warning("slow", ms=3)
    finally:
        log.configure()
    assert "timestamp=" not in stream.getvalue()
    assert "slow" in stream.getvalue()


def test_a_file_is_added_to_and_let_go(tmp_path, stream) -> None:
    file = tmp_path / "logs" / "edgellm.log"
    for _ in range(2):
        log.configure(file=file)
        log.get("x").warning("grüße")
    log.configure(stream=stream)
    log.get("x").warning("elsewhere")
    assert file.read_text(encoding="utf-8").count('"event": "grüße"') == 2
    assert "elsewhere" not in file.read_text(encoding="utf-8")


def test_a_file_that_cannot_be_opened_changes_nothing(tmp_path, stream) -> None:
    log.configure(stream=stream)
    with pytest.raises(ConfigError, match="log_file"):
        log.configure(file=tmp_path)
    log.get("x").warning("still here")
    assert "still here" in stream.getvalue()


def test_structlog_waits_for_the_first_line_and_keeps_its_own_configuration() -> None:
    code = """
import sys
from edgellm.telemetry import log
log.configure("warning")
log.get("x").info("too small")
before = "structlog" in sys.modules
log.get("x").warning("written")
import structlog
print(before, "structlog" in sys.modules, structlog.is_configured())
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False True False\n"
    assert "event=written" in result.stderr
