"""A file at a web address as a `ByteSource`: a few ranges are fetched, never the whole file.

Ranges as RFC 9110, section 14. A server that ignores them is read from the start, as far as the reader goes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

import httpx

from edgellm.errors import DownloadError, ModelNotFound

_ATTEMPTS = 4
_LONGEST_WAIT_S = 8.0
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})\Z")
_WRONG_ADDRESS = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects, ValueError)
_TIMEOUT = httpx.Timeout(20.0, connect=10.0)


class _Cut(Exception):
    """The transfer failed in a way that may not happen again."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class HttpBytes:
    """Reads `url`, with `headers` (which stay with its origin when it redirects). Close it.

    Every read raises DownloadError, or ModelNotFound when there is no such file; `limit_s` bounds all of them together.
    """

    first_block = 2**19
    largest_block = 2**22

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        limit_s: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = url.partition("?")[0]
        self._url = url
        self._headers = {**(headers or {}), "accept-encoding": "identity"}
        self._client = httpx.Client(follow_redirects=True, timeout=_TIMEOUT, max_redirects=10)
        self._sleep = sleep
        self._deadline = time.monotonic() + limit_s
        self._size: int | None = None
        self._version = ""  # of the file, by its ETag
        self._held = (0, b"")  # the bytes read last, and where they lie
        self._whole: _WholeFile | None = None  # open while the server ignores ranges

    @property
    def size(self) -> int:
        if self._size is None:
            self.read(0, self.first_block)
        assert self._size is not None
        return self._size

    def read(self, start: int, size: int) -> bytes:
        if self._size is not None:
            size = max(0, min(size, self._size - start))
        at, held = self._held
        if not at <= start <= start + size <= at + len(held):
            held = self._fetched(start, size)
            at = start
            self._held = (at, held)
        return held[start - at : start - at + size]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._drop()
        self._client.close()

    def _fetched(self, start: int, size: int) -> bytes:
        """The bytes, asked for again from where they broke off, as often as `_ATTEMPTS` without one new byte."""
        got, failures = bytearray(), 0
        while len(got) < size and (self._size is None or start + len(got) < self._size):
            before = len(got)
            try:
                self._receive(start + before, size - before, got)
                if len(got) == before:
                    raise _Cut("the server sends nothing")
            except _WRONG_ADDRESS as error:
                raise DownloadError(f"cannot fetch {self.name}: {error}. Check the address.") from error
            except (_Cut, httpx.HTTPError, httpx.StreamError) as error:
                self._drop()
                failures = failures + 1 if len(got) == before else 0
                self._wait(failures, error)
        return bytes(got)

    def _wait(self, failures: int, error: Exception) -> None:
        asked = error.wait_s if isinstance(error, _Cut) else 0.0
        pause = min(max(asked, 0.25 * 2**failures), _LONGEST_WAIT_S)
        if failures >= _ATTEMPTS or time.monotonic() + pause > self._deadline:
            reason = str(error) or type(error).__name__
            raise DownloadError(f"cannot fetch {self.name}: {reason}. Check the network, and try again.") from error
        self._sleep(pause)

    def _receive(self, start: int, size: int, got: bytearray) -> None:
        """Add what arrives of the `size` bytes from `start` to `got`."""
        if self._whole is not None and self._whole.at <= start:
            chunks = self._whole.read(start, size)
        else:
            self._drop()
            chunks = self._ranged(start, size)
        for chunk in chunks:
            got += chunk
            if time.monotonic() > self._deadline:
                raise DownloadError(f"cannot fetch {self.name}: the server is too slow. Try again later.")

    def _ranged(self, start: int, size: int) -> Iterator[bytes]:
        request = self._client.build_request(
            "GET", self._url, headers={**self._headers, "range": f"bytes={start}-{start + size - 1}"}
        )
        response = self._client.send(request, stream=True)
        if response.status_code == 200:
            self._learn(response, self._length(response))
            self._whole = _WholeFile(response)
            yield from self._whole.read(start, size)
            return
        try:
            self._check(response, start)
            yield from _at_most(response.iter_raw(), size)
        finally:
            response.close()

    def _check(self, response: httpx.Response, start: int) -> None:
        status = response.status_code
        if status in _AGAIN:
            raise _Cut(f"the server answers {status}", _seconds(response.headers.get("retry-after", "")))
        if status in (404, 410):
            raise ModelNotFound(f"there is no file {self.name}. Check the address.")
        if status in (401, 403):
            raise DownloadError(f"cannot fetch {self.name}: it needs a login ({status}). Set a token that may read it.")
        if status == 416:
            self._learn(response, start)
            raise DownloadError(f"cannot fetch {self.name}: it is shorter than it should be. Try again, or another.")
        found = _RANGE.match(response.headers.get("content-range", "")) if status == 206 else None
        if found is None or int(found[1]) != start:
            raise DownloadError(f"cannot fetch {self.name}: the server answers {status} to a range. Try another.")
        self._learn(response, int(found[3]))

    def _length(self, response: httpx.Response) -> int:
        """Bytes of the whole file, which is what a server sends that ignores ranges."""
        length = response.headers.get("content-length", "")
        if not re.fullmatch(r"[0-9]{1,18}", length) or "content-encoding" in response.headers:
            response.close()
            raise DownloadError(f"cannot fetch {self.name}: the server does not tell its size. Try another.")
        return int(length)

    def _learn(self, response: httpx.Response, size: int) -> None:
        """Keep size and version; the pieces must be of one and the same file."""
        version = response.headers.get("etag", "")
        if self._size not in (None, size) or (version and self._version not in ("", version)):
            response.close()
            raise DownloadError(f"cannot fetch {self.name}: it changed while it was read. Try again.")
        self._size, self._version = size, version or self._version

    def _drop(self) -> None:
        if self._whole is not None:
            self._whole.close()
            self._whole = None


class _WholeFile:
    """The answer of a server that sends everything from the start, taken as it comes."""

    def __init__(self, response: httpx.Response) -> None:
        self.at = 0
        self._response = response
        self._chunks = response.iter_raw()
        self._rest = b""

    def read(self, start: int, size: int) -> Iterator[bytes]:
        """The next `size` bytes from `start` on, which is not before `at`."""
        end = start + size
        while self.at < end:
            chunk = self._rest or next(self._chunks, b"")
            if not chunk:
                raise _Cut("the connection broke off")
            wanted = chunk[max(0, start - self.at) : end - self.at]
            self._rest = chunk[end - self.at :]
            self.at += len(chunk) - len(self._rest)
            if wanted:
                yield wanted

    def close(self) -> None:
        self._response.close()


def _at_most(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """`size` bytes of `chunks`, however many the server sends. Raises _Cut if there are fewer."""
    left = size
    for chunk in chunks:
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return


def _seconds(text: str) -> float:
    """A Retry-After header; a date counts as no advice."""
    return float(text) if re.fullmatch(r"[0-9]{1,4}", text) else 0.0
