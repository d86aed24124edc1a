"""Puts into words, and into the classes of `errors`, how a server can refuse a file or fail to answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from edgellm.errors import AccessDenied, DownloadError, NotAtSource, RateLimited, Unreachable


def of_status(status: int, host: str, name: str, headers: Mapping[str, str]) -> DownloadError:
    """The error for an HTTP status of 400 and above (or one that makes no sense) in answer to a request for `name`."""
    match status:
        case 401 | 403 | 407:
            return AccessDenied(f"{host} does not give {name} to this user (HTTP {status}). Check the address.")
        case 404 | 410:
            return NotAtSource(f"{host} has no {name} (HTTP {status}). Check the name.")
        case 429:
            return rate_limited(host, retry_after(headers))
        case _ if status >= 500 or status == 408:
            return Unreachable(f"{host} failed with HTTP {status} when asked for {name}. Try again later.")
    return DownloadError(f"{host} answered HTTP {status} when asked for {name}. Check the address.")


def rate_limited(host: str, seconds: float) -> RateLimited:
    when = f"in {round_up(seconds)} s" if seconds else "in a few minutes"
    return RateLimited(
        f"{host} gets too many requests from here (HTTP 429). Try again {when}; what has arrived is kept.", seconds
    )


def no_answer(host: str, reason: str) -> Unreachable:
    """No connection, or one that broke or fell silent."""
    return Unreachable(f"no answer from {host}: {reason}. Check the network, then try again; what has arrived is kept.")


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """Seconds that the server wants to be left alone, by `Retry-After` or `RateLimit`; 0 if it does not say."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text[:9])
    if text:
        try:
            until = parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        return max(0.0, (until.astimezone(UTC) - (now or datetime.now(UTC))).total_seconds())
    return _reset(headers.get("ratelimit", ""))


def _reset(header: str) -> float:
    """`t` of a `RateLimit: "api";r=0;t=55` whose remaining quota `r` is none."""
    fields = dict(field.strip().split("=", 1) for field in header.split(";") if "=" in field)
    return float(fields["t"][:9]) if fields.get("r") == "0" and fields.get("t", "").isdecimal() else 0.0


def round_up(seconds: float) -> int:
    return int(-(-seconds // 1))
