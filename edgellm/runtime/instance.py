"""The server that owns this user's models: it says where it is in a file, and other commands find it there."""

from __future__ import annotations

import contextlib
import http.client
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import filelock
import msgspec
import psutil

from edgellm import paths

PATIENCE_S = 2.0
"""How long a server may take to say that it is there."""
_LOCK_S = 5.0


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """A running server: `url` without a path, `token` for this user's own commands, and its process.

    `created` is when the process began, in seconds since the epoch: another one may get the same `pid` later.
    """

    url: str
    token: str
    pid: int
    created: float
    version: str = ""


def find() -> Instance | None:
    """The server that runs for this user and answers; None where there is none. Never raises."""
    try:
        known = _read(_file())
    except Exception:  # no home, a file that cannot be read: then nobody serves
        return None
    return known if known is not None and _lives(known) and _answers(known.url) else None


@contextmanager
def claim(url: str, token: str) -> Iterator[Instance | None]:
    """Tell this user's commands that the server is here, at `url`, until the context ends.

    Gives None, or the server that was here first and stays the one that is found.
    """
    own = Instance(url=url, token=token, pid=os.getpid(), created=_created(os.getpid()), version=_version())
    other = _write_unless_taken(own)
    try:
        yield other
    finally:
        if other is None:
            _remove(own)


def here(host: str, port: int) -> str:
    """The address at which this machine itself reaches a server that listens at `host` and `port`."""
    shown = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _file() -> Path:
    return paths.state_dir() / "server.json"


def _write_unless_taken(own: Instance) -> Instance | None:
    file = _file()
    with _locked(file):
        known = _read(file)
        if known is not None and known.pid != own.pid and _lives(known) and _answers(known.url):
            return known
        new = file.with_name(f"{file.name}.{own.pid}.new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(msgspec.json.encode(own))
        new.replace(file)
    return None


def _remove(own: Instance) -> None:
    file = _file()
    with contextlib.suppress(OSError), _locked(file):
        if _read(file) == own:
            file.unlink()


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    lock = filelock.FileLock(file.with_suffix(".lock"))
    with contextlib.suppress(filelock.Timeout):  # who holds it so long is stuck; what is written is written whole
        lock.acquire(timeout=_LOCK_S)
    try:
        yield
    finally:
        lock.release()


def _read(file: Path) -> Instance | None:
    """What the file says, if this user alone could write it."""
    try:
        status = file.stat()
        if sys.platform != "win32" and (status.st_uid != os.getuid() or status.st_mode & 0o077):
            return None
        return msgspec.json.decode(file.read_bytes(), type=Instance)
    except (OSError, msgspec.MsgspecError):
        return None


def _lives(known: Instance) -> bool:
    created = _created(known.pid)
    return created > 0.0 and abs(created - known.created) < 1.0


def _created(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def _answers(url: str) -> bool:
    """Whether it speaks HTTP there: what it says matters not, for it may still load."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status < 600
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _version() -> str:
    from edgellm import __version__

    return __version__
