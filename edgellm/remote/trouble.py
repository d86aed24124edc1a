"""`told`: what goes wrong on the way to another server and back, in our words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from edgellm.errors import RequestError, UpstreamFailed, UpstreamTimeout


@contextmanager
def told(called: str, url: str, *, answering: bool = False) -> Iterator[None]:
    """`called` is the server in messages; `answering`: it has begun to answer.

    Raises UpstreamFailed, UpstreamTimeout, and RequestError for an address that is none.
    """
    import httpx

    try:
        yield
    except httpx.TimeoutException:
        raise UpstreamTimeout(
            f"{called} does not answer. Check that the server runs there, or try again later."
        ) from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise RequestError(f"{url} is no address of a server: {error}. Write it as http://HOST:PORT.") from None
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        if answering:
            raise UpstreamFailed(f"{called} broke off its answer: {reason}. Its own log may say why.") from None
        raise UpstreamFailed(f"cannot reach {inside(called)}: {reason}. Check that the server runs there.") from None
    except json.JSONDecodeError:
        raise UpstreamFailed(f"{called} answered with something that is not JSON. Check the URL.") from None


def inside(called: str) -> str:
    """As the server is called inside of a sentence."""
    return f"the {called[4:]}" if called.startswith("The ") else called
