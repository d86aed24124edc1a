"""Where edgellm keeps its files on this machine; a `*_dir` function makes its directory when it is first asked for.

Each platform has its own customs (XDG, Library, AppData); `EDGELLM_HOME` puts everything below one directory instead.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from edgellm.errors import ConfigError

HOME_VARIABLE = "EDGELLM_HOME"

_Kind = Literal["config", "data", "cache", "logs", "state"]


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """`config.toml`; neither it nor its directory need exist."""
    return _place("config", environ) / "config.toml"


def config_dir() -> Path:
    """Holds `config.toml`."""
    return _made(_place("config"))


def data_dir() -> Path:
    """Holds what people would miss: models and conversations."""
    return _made(_place("data"))


def cache_dir() -> Path:
    """Holds what may be deleted at any time."""
    return _made(_place("cache"))


def models_dir() -> Path:
    """Holds model files that edgellm fetched."""
    return _made(_place("data") / "models")


def conversations_dir() -> Path:
    """Holds the chat app's conversations, with drafts and settings of the app."""
    return _made(_place("data") / "conversations")


def logs_dir() -> Path:
    """Holds log files, when something asks for one."""
    return _made(_place("logs"))


def state_dir() -> Path:
    """Holds what tells of programs that run now."""
    return _made(_place("state"))


def _place(kind: _Kind, environ: Mapping[str, str] = os.environ) -> Path:
    home = environ.get(HOME_VARIABLE)
    if home:
        return Path(home).expanduser().absolute() / kind
    return _native(kind)


def _native(kind: _Kind) -> Path:
    import platformdirs

    places = platformdirs.PlatformDirs("edgellm", appauthor=False)
    match kind:
        case "config":
            return places.user_config_path
        case "data":
            return places.user_data_path
        case "cache":
            return places.user_cache_path
        case "logs":
            return places.user_log_path
        case "state":
            return places.user_state_path


def _made(path: Path) -> Path:
    """`path`, readable by this user alone where we are the ones to make it. Raises ConfigError when that fails."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"cannot use the directory {path}: {reason}. Make it writable, or set {HOME_VARIABLE} to another place."
        ) from error
    return path
