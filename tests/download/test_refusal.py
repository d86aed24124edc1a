"""Every way a server can refuse becomes an error that says what to do, of the class that fits."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from edgellm import download
from edgellm.catalog.reference import HubReference
from edgellm.download import refusal
from edgellm.download.hub import Hub
from edgellm.errors import AccessDenied, DownloadError, NotAtSource, RateLimited, Unreachable
from tests.doubles.hub import Fault, HubDouble, Repository

NAME = "maker/Tiny-GGUF"


@pytest.fixture
def tiny(hub: HubDouble) -> Repository:
    hub.repositories[NAME] = Repository({"Tiny-Q4_K_M.gguf": b"x" * 5000})
    return hub.repositories[NAME]


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (Fault(status=429, headers={"retry-after": "90"}), RateLimited, "Try again in 90 s"),
        (Fault(status=429, headers={"ratelimit": '"api";r=0;t=55'}), RateLimited, "Try again in 55 s"),
        (Fault(status=429), RateLimited, "Try again in a few minutes"),
        (Fault(status=500), Unreachable, "failed with HTTP 500"),
        (Fault(status=502), Unreachable, "failed with HTTP 502"),
        (Fault(status=503), Unreachable, "Try again later"),
        (Fault(status=403), AccessDenied, "does not let this token read"),
        (Fault(status=200), DownloadError, "does not answer as a model hub does. Check HF_ENDPOINT"),
        (Fault(stall_after=0), Unreachable, "did not answer in time"),
    ],
)
def test_what_the_hub_answers(
    hub: HubDouble, tiny, monkeypatch, fault: Fault, kind: type[DownloadError], words: str
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.3)
    hub.api_faults.append(fault)
    with pytest.raises(kind, match=words) as caught:
        Hub().repository(NAME)
    assert type(caught.value) is kind
    if isinstance(caught.value, RateLimited) and "in a few" not in words:
        assert caught.value.retry_after_s in (55.0, 90.0)


def test_a_gated_repository_says_how_to_get_in(hub: HubDouble, tiny: Repository, monkeypatch) -> None:
    tiny.gated, tiny.token = True, "hf_accepted"
    with pytest.raises(AccessDenied, match=r"accept them, then run `hf auth login` or set HF_TOKEN .* pull again"):
        Hub().repository(NAME)
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(AccessDenied, match=r"log in and accept them, and pull again"):
        Hub().repository(NAME)
    monkeypatch.setenv("HF_TOKEN", "hf_accepted")
    assert Hub().repository(NAME).commit == tiny.commit


def test_a_repository_that_is_not_there_or_private(hub: HubDouble, tiny: Repository, monkeypatch) -> None:
    with pytest.raises(NotAtSource, match=r"a user without a token\. Check the name; if it is private, run"):
        Hub().repository("maker/none")
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    with pytest.raises(NotAtSource, match=r"to this user\. Check the name; if it is private, ask its owner"):
        Hub().repository("maker/none")


def test_a_token_that_expired(hub: HubDouble, tiny: Repository, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    hub.api_faults.append(Fault(status=401, headers={"x-error-message": "Invalid credentials in Authorization header"}))
    with pytest.raises(AccessDenied, match="refuses the token"):
        Hub().repository(NAME)


def test_a_revision_that_is_not_there(hub: HubDouble, tiny: Repository) -> None:
    with pytest.raises(NotAtSource, match="no such revision"):
        Hub().repository(NAME, "v9")


def test_a_name_that_no_repository_can_have(hub: HubDouble) -> None:
    with pytest.raises(NotAtSource, match="no name that the model hub could have"):
        Hub().repository("a--b/c..d")


def test_no_network(hub: HubDouble) -> None:
    with pytest.raises(Unreachable, match=r"no answer from 127\.0\.0\.1: .*Check the network"):
        Hub(endpoint="http://127.0.0.1:9").repository(NAME)


def test_a_file_that_is_refused_after_the_listing(hub: HubDouble, tiny: Repository, root: Path, monkeypatch) -> None:
    repository = Hub().repository(NAME)
    monkeypatch.setattr(Hub, "repository", lambda *_: repository)
    tiny.gated, tiny.token = True, "hf_accepted"
    with pytest.raises(AccessDenied, match="given only to people who accepted its terms"):
        download.fetch(HubReference(NAME), root=root)
    tiny.gated, tiny.token = False, ""
    tiny.change({"README.md": b"gone"})
    with pytest.raises(NotAtSource):
        download.fetch(HubReference(NAME), root=root)


def test_waits_are_read_as_servers_write_them() -> None:
    now = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
    assert refusal.retry_after({"retry-after": "120"}) == 120
    assert refusal.retry_after({"retry-after": "Tue, 24 Nov 2026 12:01:30 GMT"}, now) == 90
    assert refusal.retry_after({"retry-after": "Tue, 24 Nov 2026 11:00:00 GMT"}, now) == 0
    assert refusal.retry_after({"ratelimit": '"api";r=0;t=55'}) == 55
    assert refusal.retry_after({"ratelimit": '"api";r=10;t=55'}) == 0
    assert refusal.retry_after({}) == 0


@given(st.text(), st.text())
def test_no_header_breaks_the_reading(first: str, second: str) -> None:
    assert refusal.retry_after({"retry-after": first, "ratelimit": second}) >= 0
    assert refusal.retry_after({"ratelimit": second}) >= 0
