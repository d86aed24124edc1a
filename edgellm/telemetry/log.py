"""Our log: events with values, never what people or models wrote; structlog is imported by the first line written.

edgellm is a library too, so it keeps a logger of its own and leaves structlog's global configuration alone.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Literal, TextIO

from edgellm.errors import ConfigError

Level = Literal["debug", "info", "warning", "error"]

_SEVERITY: dict[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_CONTENT = frozenset({"arguments", "content", "input", "messages", "prompt", "response", "text"})


class Logger:
    """Writes events of one part of edgellm. `exc_info=True` among the values adds the current traceback."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def enabled(self, level: Level) -> bool:
        return _SEVERITY[level] >= _sink.threshold

    def debug(self, event: str, **values: Any) -> None:
        self.log("debug", event, **values)

    def info(self, event: str, **values: Any) -> None:
        self.log("info", event, **values)

    def warning(self, event: str, **values: Any) -> None:
        self.log("warning", event, **values)

    def error(self, event: str, **values: Any) -> None:
        self.log("error", event, **values)

    def log(self, level: Level, event: str, /, **values: Any) -> None:
        if self.enabled(level):
            _sink.write(level, self.name, event, values)


def get(name: str) -> Logger:
    """The logger of the module or part `name`; costs nothing until it writes."""
    return Logger(name)


def configure(level: Level = "warning", file: str | Path = "", stream: TextIO | None = None) -> None:
    """Log from `level` on, added to `file` as lines of JSON if given, else to `stream`, else to standard error.

    Raises ConfigError when the file cannot be opened; the log then stays as it was.
    """
    global _sink
    new = _Sink(level, _opened(Path(file)) if file else None, stream)
    old, _sink = _sink, new
    old.close()


def _opened(path: Path) -> TextIO:
    try:
        path.expanduser().parent.mkdir(parents=True, exist_ok=True)
        return path.expanduser().open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
    except OSError as error:
        raise ConfigError(f"cannot log to {path}: {error.strerror or error}. Name another log_file.") from error


class _Sink:
    """Where lines go: `owned`, closed with the sink, or `stream`, or sys.stderr as it is when the first line comes."""

    def __init__(self, level: Level = "warning", owned: TextIO | None = None, stream: TextIO | None = None) -> None:
        self.threshold = _SEVERITY[level]
        self._owned = owned
        self._stream = owned or stream
        self._json = owned is not None
        self._lock = threading.Lock()
        self._logger: Any = None

    def write(self, level: Level, name: str, event: str, values: dict[str, Any]) -> None:
        with self._lock:
            if self._logger is None:
                self._logger = _structlog(self._stream or sys.stderr, self._json)
        self._logger.bind(logger=name).log(_SEVERITY[level], event, **values)

    def close(self) -> None:
        if self._owned is not None:
            self._owned.close()


def _structlog(stream: TextIO, json: bool) -> Any:
    import structlog

    chain = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_content,
        *_rendering(stream, json),
    ]
    return structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(0),
        context_class=dict,
    )


def _rendering(stream: TextIO, json: bool) -> list[Any]:
    import structlog

    if json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    if stream.isatty():
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=sys.platform != "win32", exception_formatter=plain)]
    keys = ("timestamp", "level", "logger", "event")
    return [
        structlog.processors.format_exc_info,
        structlog.processors.LogfmtRenderer(key_order=keys, bool_as_flag=False),
    ]


def _without_content(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last guard against logging what someone wrote: such values become their length."""
    for key in _CONTENT & line.keys():
        value = line[key]
        line[key] = f"<{len(value)} long>" if hasattr(value, "__len__") else "<hidden>"
    return line


_sink = _Sink()
