"""One file on its way: received, continued where an earlier attempt ended, checked, and only then put in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from edgellm.download import remote as remotes, space
from edgellm.download.lock import holding
from edgellm.download.partial import Partial
from edgellm.download.remote import Remote
from edgellm.download.watch import Watch
from edgellm.errors import ChecksumMismatch

Receive = Callable[[Partial, Watch], None]
"""Fills the open `Partial`, from where it ends. Raises DownloadError, and leaves in it what has come."""


class Place(msgspec.Struct, frozen=True):
    """Where a file will be, where it grows until then, on the same disk, and the lock that both are under."""

    target: Path
    part: Path
    lock: Path

    @property
    def begun(self) -> int:
        """Bytes that an earlier attempt has left."""
        return self.part.stat().st_size if self.part.is_file() else 0


def bring(remote: Remote, place: Place, receive: Receive, watch: Watch) -> str:
    """The file `remote` in its place; returns its sha256, empty if another transfer was faster.

    Raises DownloadError. The part stays for the next attempt, but for a ChecksumMismatch.
    """
    with holding(place.lock, watch.say):
        if place.target.is_file() and remote.size in (None, place.target.stat().st_size):
            watch.arrived(place.target.stat().st_size)
            return ""
        with space.writing(place.part.parent, remote.size or 0):
            # What an earlier attempt left may be what is wrong: a power cut can leave zeros. Then it is tried afresh.
            return _attempt(remote, place, receive, watch) or _attempt(remote, place, receive, watch)


def _attempt(remote: Remote, place: Place, receive: Receive, watch: Watch) -> str:
    """The sum of what came; empty if it was wrong, and the fault may be that of an earlier attempt."""
    with Partial(place.part, noted=not remote.is_verifiable) as partial:
        partial.open(watch)
        continued = partial.size > 0
        receive(partial, watch)
        try:
            remotes.check(remote, partial.size, partial.sha256, place.part)
        except ChecksumMismatch:
            partial.discard()
            if continued:
                return ""
            raise
        partial.install(place.target)
        return partial.sha256
