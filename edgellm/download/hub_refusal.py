"""Puts what `huggingface-hub` raises into words that say what to do, and into the classes of `errors`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from edgellm.download import refusal
from edgellm.errors import AccessDenied, DownloadError, NotAtSource


@contextmanager
def translated(endpoint: str, repository: str) -> Iterator[None]:
    """Turns every error that the hub's library may raise for `repository` into a DownloadError."""
    import httpx2
    from huggingface_hub import errors

    host = urlsplit(endpoint).hostname or endpoint
    try:
        yield
    except errors.HfHubHTTPError as error:
        answer = error.response
        has_token = "authorization" in answer.request.headers
        raise of_status(answer.status_code, answer.headers, endpoint, repository, has_token=has_token) from error
    except errors.OfflineModeIsEnabled as error:
        raise refusal.no_answer(host, "HF_HUB_OFFLINE is set") from error
    except errors.HFValidationError as error:
        raise NotAtSource(f"{repository} is no name that the model hub could have: write user/repository.") from error
    except httpx2.TimeoutException as error:
        raise refusal.no_answer(host, "it did not answer in time") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise refusal.no_answer(host, str(error) or type(error).__name__) from error
    except (ValueError, KeyError, TypeError) as error:  # not what a hub would send
        raise DownloadError(f"{host} does not answer as a model hub does. Check HF_ENDPOINT.") from error


def of_status(
    status: int, headers: Mapping[str, str], endpoint: str, repository: str, *, has_token: bool
) -> DownloadError:
    """The error for an answer of the hub; `X-Error-Code` tells what the status alone does not."""
    host = urlsplit(endpoint).hostname or endpoint
    page = f"{endpoint}/{repository}"
    match status, headers.get("x-error-code", ""):
        case _, "GatedRepo":
            return _gated(page, repository, has_token)
        case _, "RevisionNotFound":
            return NotAtSource(f"{repository} has no such revision on {host}. Check the branch, tag or commit.")
        case _, "EntryNotFound":
            return NotAtSource(f"{repository} no longer has that file on {host}. Pull it again to get the newest.")
        case 401, _ if has_token:
            return AccessDenied(
                f"{host} refuses the token that this machine sends for {repository}. It may have expired: "
                "make a new one on the hub's page of access tokens, then run `hf auth login` or set HF_TOKEN."
            )
        case ((401 | 404), _):
            return NotAtSource(
                f"{host} shows no repository {repository} to {'this' if has_token else 'a'} user"
                f"{'' if has_token else ' without a token'}. Check the name; if it is private, "
                f"{'ask its owner for access' if has_token else 'run `hf auth login` or set HF_TOKEN'}."
            )
        case 403, _:
            return AccessDenied(
                f"{host} does not let this token read {repository} (HTTP 403). Open {page} in a browser to see "
                "whether it was disabled, and give the token the right to read it."
            )
    return refusal.of_status(status, host, repository, headers)


def _gated(page: str, repository: str, has_token: bool) -> AccessDenied:
    steps = "" if has_token else ", then run `hf auth login` or set HF_TOKEN to a token of that account"
    return AccessDenied(
        f"{repository} is given only to people who accepted its terms. Open {page} in a browser, log in and accept "
        f"them{steps}, and pull again."
    )
