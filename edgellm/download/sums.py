"""The sum of a file on this machine, read from its first byte to its last."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgellm.download.remote import CHUNK
from edgellm.download.report import VERIFYING, Report, silent
from edgellm.errors import DownloadError


def checksum(path: Path, report: Report = silent, name: str = "") -> str:
    """The sha256 of a file, in hexadecimal. Raises DownloadError when it cannot be read."""
    label = f"{VERIFYING} {name or path.name}"
    digest, done = hashlib.sha256(), 0
    try:
        total = path.stat().st_size
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                digest.update(data)
                done += len(data)
                report(label, done, total)
    except OSError as error:
        raise DownloadError(f"cannot read {path}: {error.strerror or error}.") from error
    return digest.hexdigest()
