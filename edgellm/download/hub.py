"""Asks the model hub what a repository holds, through `huggingface-hub` and the settings people have for it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from edgellm.download import hub_refusal, refusal
from edgellm.download.hub_cache import COMMIT, HubCache
from edgellm.download.remote import Remote
from edgellm.download.url import Refused
from edgellm.errors import DownloadError, Offline

if TYPE_CHECKING:
    from huggingface_hub import HfApi


_SUM = re.compile(r"([0-9a-f]{64}|[0-9a-f]{40})\Z")


class HubFile(msgspec.Struct, frozen=True):
    """A file of a repository: `path` in it, bytes, and the sum by which the hub names its content."""

    path: str
    size: int
    sha256: str = ""
    git_sha1: str = ""

    @property
    def etag(self) -> str:
        return self.sha256 or self.git_sha1


class Repository(msgspec.Struct, frozen=True):
    """What a repository held at one commit."""

    name: str
    commit: str
    files: tuple[HubFile, ...]

    def find(self, paths: tuple[str, ...]) -> tuple[HubFile, ...]:
        by_path = {file.path: file for file in self.files}
        return tuple(by_path[path] for path in paths)


class Hub:
    """The hub at `endpoint` as the user `token` stands for, with the cache at `root`.

    What is not given comes from where huggingface-hub takes it: HF_ENDPOINT; HF_TOKEN or the stored login; HF_HUB_CACHE
    or HF_HOME. With `offline`, or HF_HUB_OFFLINE, no request is made.
    """

    def __init__(self, *, endpoint: str = "", token: str = "", root: Path | None = None, offline: bool = False) -> None:
        # Without this, its requests would tell what runs beside them, and fetch a list of things to look for.
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        from huggingface_hub import constants

        self._token = token or None
        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self.offline = offline or constants.is_offline_mode()
        self.cache = HubCache(root or Path(constants.HF_HUB_CACHE))

    def repository(self, name: str, revision: str = "main") -> Repository:
        """What `name` (`user/repository`) holds at `revision`, by one request.

        Raises AccessDenied, NotAtSource, RateLimited, Unreachable, Offline.
        """
        if self.offline:
            raise Offline(
                f"the model hub cannot be asked for {name}: the offline setting forbids it. "
                "Switch offline off (EDGELLM_OFFLINE, HF_HUB_OFFLINE), or bring the model with `edgellm bundle`."
            )
        from huggingface_hub import constants

        with hub_refusal.translated(self.endpoint, name):
            found = self._api().model_info(
                name, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
            )
            if not COMMIT.match(found.sha or ""):
                raise ValueError(found.sha)
            return Repository(name, str(found.sha), tuple(_file(sibling) for sibling in found.siblings or ()))

    def remote(self, repository: Repository, file: HubFile) -> Remote:
        """How to fetch `file` over HTTP, at the very commit."""
        from huggingface_hub import hf_hub_url

        return Remote(
            url=hf_hub_url(repository.name, file.path, revision=repository.commit, endpoint=self.endpoint),
            name=f"{repository.name}/{file.path}",
            size=file.size,
            sha256=file.sha256,
            git_sha1=file.git_sha1,
            headers=self.headers(),
        )

    def headers(self) -> Mapping[str, str]:
        """Those that make the hub answer this user; never to be sent to another host."""
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        return dict(build_hf_headers(token=self._token, library_name="edgellm", library_version=_version()))

    def refused(self, repository: str) -> Refused:
        """What the hub means when it refuses a file of `repository`; other hosts, which it leads to, mean less."""
        own = urlsplit(self.endpoint).hostname or ""
        has_token = "authorization" in self.headers()

        def refused(status: int, host: str, name: str, headers: Mapping[str, str]) -> DownloadError:
            if host != own:
                return refusal.of_status(status, host, name, headers)
            return hub_refusal.of_status(status, headers, self.endpoint, repository, has_token=has_token)

        return refused

    def _api(self) -> HfApi:
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint, token=self._token, library_name="edgellm", library_version=_version())


def _file(sibling: Any) -> HubFile:
    """One file as the hub lists it; ValueError for what could lead out of the cache, where it will name files."""
    lfs = sibling.lfs
    path, size = str(sibling.rfilename), sibling.size if lfs is None else lfs.size
    sha256, git_sha1 = (str(lfs.sha256), "") if lfs is not None else ("", str(sibling.blob_id))
    words = path.split("/")
    if (
        "\\" in path
        or ":" in path
        or "\0" in path
        or {"", ".", ".."} & set(words)
        or not _SUM.match(sha256 or git_sha1)
    ):
        raise ValueError(path)
    return HubFile(path, int(size or 0), sha256, git_sha1)


def _version() -> str:
    try:
        return version("edgellm")
    except PackageNotFoundError:  # a source tree that nobody has installed
        return "0"
