"""`Library`: models brought to this machine, removed from it and given other names, on behalf of clients.

Clients name models; they never name paths or addresses of this machine or of others.
"""

from __future__ import annotations

from pathlib import Path

from edgellm import download
from edgellm.catalog import aliases, catalog, reference
from edgellm.catalog.entry import Entry
from edgellm.catalog.reference import HubReference, PathReference, UpstreamReference, UrlReference
from edgellm.download import shelf
from edgellm.download.manifest import Manifest
from edgellm.download.report import Report
from edgellm.download.store import Store
from edgellm.errors import ConfigError, ModelNotFound, QueueFull, RequestError
from edgellm.server.models import plain_name

MOST_PULLS = 4
_RETRY_S = 30.0


class Library:
    """The user's store and the hub's cache. All but `admit` blocks: call it in a thread of its own."""

    def __init__(self, offline: bool = False) -> None:
        self.offline = offline
        self._pulls = 0

    def admit(self) -> None:
        """Count one more pull; `leave` ends it. Raises QueueFull."""
        if self._pulls >= MOST_PULLS:
            raise QueueFull(f"{MOST_PULLS} models are being pulled already. Wait for one of them.", _RETRY_S)
        self._pulls += 1

    def leave(self) -> None:
        self._pulls -= 1

    def pull(self, name: str, report: Report) -> Manifest:
        """Fetch the model, or check and renew it. Raises RequestError, ModelNotFound and DownloadError."""
        return download.pull(named(name), report, offline=self.offline)[0]

    def find(self, name: str) -> Manifest:
        """What is here of a model. Raises ModelNotFound."""
        target = named(name)
        found = shelf.by_name(plain_name(name.strip()), Store()) or download.held(target)
        if found is None:
            raise ModelNotFound(f"There is no model {name[:200]!r} on this machine.")
        return found

    def remove(self, manifest: Manifest) -> int:
        """Remove what edgellm has fetched of it; what other programs brought stays. Returns the bytes freed."""
        return shelf.remove(manifest, Store())

    def copy(self, source: str, destination: str) -> None:
        """Let `destination` stand for `source`, which must be here. Raises RequestError and ModelNotFound."""
        self.find(source)
        try:
            aliases.move(plain_name(destination), plain_name(source.strip()), catalog.current())
        except ConfigError as error:
            if isinstance(error.__cause__, OSError):
                raise
            raise RequestError(str(error)) from error
        except ModelNotFound as error:
            raise RequestError(str(error)) from error


def named(name: str) -> Entry | HubReference | UrlReference:
    """The model of the catalog or of a repository that `name` means. Raises RequestError and ModelNotFound."""
    text = plain_name(name.strip())
    known = catalog.current()
    if isinstance(upstream := known.parsed(text), UpstreamReference):
        raise RequestError(f"{name[:200]!r} is a model of the upstream {upstream.upstream}, which is left alone.")
    if isinstance(reference.parse(text), PathReference | UrlReference):
        raise RequestError(
            "Give the name of a model, or user/repository of the model hub: clients may name no files and no addresses."
        )
    meant = known.candidates(text)[-1]
    target = None if isinstance(meant, PathReference | UpstreamReference) else known.target(meant)
    if target is None or isinstance(target, Path):
        raise RequestError(f"{name[:200]!r} is an alias for what is no model to fetch. It is left alone.")
    return target
