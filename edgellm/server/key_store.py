"""`KeyStore`: the keys that open this server, kept hashed in one file that only its owner may read or write."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from edgellm import paths
from edgellm.errors import ConfigError, RequestError

MARK = "ek-"
SHOWN = len(MARK) + 6
_SECRET_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOCK_S = 10.0


class AccessKey(msgspec.Struct, frozen=True):
    """One key. `prefix` is how its secret begins, `digest` the secret's SHA-256 in hex, `created` in Unix seconds.

    A plain hash is enough: a secret of 256 random bits cannot be guessed however fast one hashes, and every request
    pays for a slow one. Slow, salted hashes are for what people think up.
    """

    name: str
    prefix: str
    digest: str
    created: int


class KeyStore:
    """Reads the file again whenever it has changed, so that a revoked key stops working at once."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file or paths.config_file().with_name("keys.json")
        self._stamp: tuple[int, int, int] | None = None
        self._keys: tuple[AccessKey, ...] = ()

    def all(self) -> tuple[AccessKey, ...]:
        """In the order they were made. Raises ConfigError for a file that others may write, or that is damaged."""
        try:
            status = self.file.stat()
        except FileNotFoundError:
            self._stamp, self._keys = None, ()
            return ()
        except OSError as error:
            raise self._unreadable(error) from error
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp != self._stamp:
            self._keys = self._read(status.st_mode)
            self._stamp = stamp
        return self._keys

    def holder(self, secret: str) -> str | None:
        """The name of the key whose secret this is. Takes as long whichever it is, and none."""
        digest, found = _digest(secret), None
        for key in self.all():
            if hmac.compare_digest(key.digest, digest):
                found = key.name
        return found

    def create(self, name: str) -> str:
        """A new key; returns its secret, which is nowhere else. Raises RequestError for a name that is taken or odd."""
        if not _NAME.fullmatch(name):
            raise RequestError(f"{name[:80]!r} cannot be a key's name: use up to 64 letters, digits, '.', '_' and '-'.")
        with self._changing() as keys:
            if name in keys:
                raise RequestError(
                    f"there is a key {name!r} already. Choose another name, or `edgellm keys rotate {name}`."
                )
            keys[name], secret = _made(name)
        return secret

    def revoke(self, name: str) -> None:
        """Raises RequestError where there is no such key."""
        with self._changing() as keys:
            self._known(name, keys)
            del keys[name]

    def rotate(self, name: str) -> str:
        """A new secret for a key, the old one void at once. Raises RequestError where there is no such key."""
        with self._changing() as keys:
            self._known(name, keys)
            keys[name], secret = _made(name)
        return secret

    def _known(self, name: str, keys: dict[str, AccessKey]) -> None:
        if name not in keys:
            there = f"There are: {', '.join(keys)}." if keys else "There is none; `edgellm keys create NAME` makes one."
            raise RequestError(f"there is no key {name[:80]!r}. {there}")

    @contextmanager
    def _changing(self) -> Iterator[dict[str, AccessKey]]:
        """The keys by name, written back on leaving without an error; two processes take turns."""
        import filelock

        paths.config_dir()
        try:
            with filelock.FileLock(self.file.with_suffix(".lock"), timeout=_LOCK_S):
                keys = {key.name: key for key in self.all()}
                yield keys
                self._write(tuple(keys.values()))
        except filelock.Timeout:
            raise ConfigError(f"another program holds {self.file}. Try again when it is done.") from None
        except OSError as error:
            raise ConfigError(
                f"cannot write {self.file}: {error.strerror or error}. Make its directory writable."
            ) from error

    def _read(self, mode: int) -> tuple[AccessKey, ...]:
        if os.name == "posix" and stat.S_IMODE(mode) & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError(f"others may write {self.file}, and so let themselves in. Run `chmod 600 {self.file}`.")
        try:
            return msgspec.json.decode(self.file.read_bytes(), type=tuple[AccessKey, ...])
        except OSError as error:
            raise self._unreadable(error) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.file} is damaged: {error}. Remove it and make the keys anew.") from error

    def _write(self, keys: tuple[AccessKey, ...]) -> None:
        """Replace the file at once; `mkstemp` makes it readable by its owner alone."""
        descriptor, temporary = tempfile.mkstemp(prefix=self.file.name, dir=self.file.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(msgspec.json.format(msgspec.json.encode(keys)) + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).replace(self.file)
        except OSError:
            with suppress(OSError):
                Path(temporary).unlink()
            raise

    def _unreadable(self, error: OSError) -> ConfigError:
        return ConfigError(f"cannot read {self.file}: {error.strerror or error}. Make it readable for yourself.")


def _made(name: str) -> tuple[AccessKey, str]:
    secret = MARK + base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).decode().rstrip("=")
    return AccessKey(name, secret[:SHOWN], _digest(secret), int(time.time())), secret


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
