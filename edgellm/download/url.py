"""Receives one file over HTTP: from where the part on the disk ends, through every break that may heal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgellm.download import refusal, space
from edgellm.download.partial import Partial
from edgellm.download.remote import Remote
from edgellm.download.watch import Watch
from edgellm.errors import ChecksumMismatch, DownloadError, RateLimited, Unreachable

if TYPE_CHECKING:
    import httpx

STALL_S = 30.0
"""How long a connection may say nothing."""
ATTEMPTS = 6
"""Requests in a row that may bring nothing before this gives up."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
"""Between two of these; the pause doubles."""
LONGEST_WAIT_S = 60.0
"""A server that asks for more patience than this is reported instead."""
_RANGE = re.compile(r"bytes (\d+)-\d*/(\d+|\*)")


Refused = Callable[[int, str, str, Mapping[str, str]], DownloadError]
"""Makes an error of HTTP status, host, the name of what was asked for, and the answer's headers."""


def receive(
    remote: Remote,
    partial: Partial,
    watch: Watch,
    *,
    stall_s: float = STALL_S,
    refused: Refused = refusal.of_status,
) -> None:
    """Fill `partial`, which is open, until it is as long as the server says the file is; its sum is not checked.

    Raises DownloadError: AccessDenied, NotAtSource, RateLimited, Unreachable. `partial` keeps what has come.
    """
    with _client(stall_s) as client:
        idle = 0
        while True:
            before = partial.size
            try:
                return _request(client, remote, partial, watch, refused)
            except (Unreachable, RateLimited) as error:
                if not remote.is_verifiable and not partial.version:
                    partial.restart()  # the server's next answer may be of another file, and nobody could tell
                idle = 0 if partial.size > before else idle + 1
                if idle >= ATTEMPTS:
                    raise
                _wait(error, idle, watch)


@contextmanager
def _client(stall_s: float) -> Iterator[httpx.Client]:
    import httpx

    # Without compression, so that bytes can be counted and continued.
    headers = {"accept-encoding": "identity", "user-agent": "edgellm"}
    with httpx.Client(headers=headers, follow_redirects=True, timeout=stall_s) as client:
        yield client


def _request(client: httpx.Client, remote: Remote, partial: Partial, watch: Watch, refused: Refused) -> None:
    """One request for what is missing; returns when the file is complete."""
    if remote.size is not None and partial.size > remote.size:
        partial.restart()
    if remote.size is not None and partial.size == remote.size:
        return
    with _translated(remote), client.stream("GET", remote.url, headers=_headers(remote, partial)) as response:
        _check_secure(remote, response)
        if response.status_code >= 400 and not (response.status_code == 416 and partial.size):
            raise refused(response.status_code, response.url.host, remote.name, response.headers)
        total = _begin(response, remote, partial)
        if total is not None:
            watch.total = total
            space.require(partial.path.parent, total - partial.size)
        _read(response, total, partial, watch, remote)


def _headers(remote: Remote, partial: Partial) -> dict[str, str]:
    headers = dict(remote.headers)
    if partial.size:
        headers["range"] = f"bytes={partial.size}-"
        if partial.version:
            headers["if-range"] = partial.version
    return headers


def _begin(response: httpx.Response, remote: Remote, partial: Partial) -> int | None:
    """Makes `partial` what the body will continue; returns the whole file's size, None if the server does not tell."""
    status = response.status_code
    if status == 206 and (spot := _RANGE.match(response.headers.get("content-range", ""))):
        if int(spot[1]) == partial.size:
            return remote.size if spot[2] == "*" else int(spot[2])
        status = 416  # an answer to another question
    if status == 200:
        partial.restart(_version(response))
        length = response.headers.get("content-length", "")
        return int(length) if length.isdecimal() else remote.size
    if status in (206, 416) and partial.size:  # what is here is no part of what is there
        partial.restart()
        raise Unreachable(f"{response.url.host} does not continue {remote.name} where it broke off.")
    raise refusal.of_status(status, response.url.host, remote.name, response.headers)


def _version(response: httpx.Response) -> str:
    """What `If-Range` may be asked with: a strong ETag, else the time of the last change."""
    etag = str(response.headers.get("etag", ""))
    return str(response.headers.get("last-modified", "")) if not etag or etag.startswith("W/") else etag


def _read(response: httpx.Response, total: int | None, partial: Partial, watch: Watch, remote: Remote) -> None:
    with space.writing(partial.path.parent, max(0, (total or 0) - partial.size)):
        for data in response.iter_raw():
            partial.write(data)
            watch.arrived(partial.size)
            if total is not None and partial.size > total:
                partial.restart()
                raise ChecksumMismatch(f"{remote.name} came with more than the {total:,} bytes promised. Try again.")
    if total is not None and partial.size < total:
        raise refusal.no_answer(response.url.host, f"the connection ended before {remote.name} was complete")


def _check_secure(remote: Remote, response: httpx.Response) -> None:
    if remote.url.startswith("https:") and response.url.scheme != "https":
        raise DownloadError(
            f"{remote.url} leads to {response.url.host} without encryption, where anybody could change the file. "
            "Use an address that stays on https."
        )


@contextmanager
def _translated(remote: Remote) -> Iterator[None]:
    import httpx

    try:
        yield
    except (httpx.TooManyRedirects, httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.DecodingError) as error:
        raise DownloadError(
            f"{remote.name} cannot be fetched from {remote.url}: {error}. Check the address."
        ) from error
    except httpx.TimeoutException as error:
        raise refusal.no_answer(httpx.URL(remote.url).host, "it has fallen silent") from error
    except httpx.TransportError as error:
        raise refusal.no_answer(httpx.URL(remote.url).host, str(error) or type(error).__name__) from error


def _wait(error: Unreachable | RateLimited, idle: int, watch: Watch) -> None:
    """Before the next attempt; at once when the last one brought something."""
    asked = error.retry_after_s if isinstance(error, RateLimited) else 0.0
    if asked > LONGEST_WAIT_S:
        raise error
    seconds = max(asked, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (idle - 1)) if idle else 0.0)
    if seconds >= 1:
        watch.say(f"trying again in {refusal.round_up(seconds)} s: {_first_words(error)}")
    watch.sleep(seconds)


def _first_words(error: Exception) -> str:
    return str(error).split(". ")[0]
