"""Models that are one file, at an address or on a drive: continued, checked, and trusted on first use only."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from edgellm import download
from edgellm.catalog.catalog import Entry
from edgellm.catalog.sources import FileSource, UrlSource
from edgellm.download.store import Store
from edgellm.errors import AccessDenied, ChecksumMismatch, DownloadError, NotAtSource, RateLimited, Unreachable
from tests.doubles.hub import CHUNK, Fault, HubDouble, Plain
from tests.doubles.wheels import entry_of

DATA = os.urandom(300_000)
OTHER = os.urandom(300_000)


def at_address(hub: HubDouble, **changes: object) -> Entry:
    """A model that only a web server has; nobody has told its size or sum unless `changes` do."""
    source = UrlSource(url=f"{hub.url}/files/tiny.gguf")
    return entry_of(b"", [("a", "b")], **{"sources": (source,), "bytes": 0, "sha256": "", "file": "", **changes})


@pytest.fixture
def plain(hub: HubDouble) -> Plain:
    hub.plain["tiny.gguf"] = Plain(DATA)
    return hub.plain["tiny.gguf"]


def test_a_file_without_a_sum_is_trusted_on_first_use_and_says_so(hub: HubDouble, plain: Plain, root: Path) -> None:
    manifest, was_here = download.pull(at_address(hub), root=root)
    assert not was_here
    assert manifest.sums == "first use"
    assert manifest.files[0].sum == hashlib.sha256(DATA).hexdigest()
    assert manifest.path.read_bytes() == DATA
    assert download.pull(at_address(hub), root=root) == (manifest, True)
    assert hub.served == len(DATA)


def test_a_file_that_changed_since_first_use_is_refused_until_it_is_trusted(
    hub: HubDouble, plain: Plain, root: Path
) -> None:
    path = download.fetch(at_address(hub), root=root)
    path.unlink()
    plain.data = OTHER
    with pytest.raises(ChecksumMismatch, match=r"not the one that came first .* --trust-changed"):
        download.fetch(at_address(hub), root=root)
    assert not path.exists()
    manifest, _ = download.pull(at_address(hub), root=root, trust_changed=True)
    assert manifest.path.read_bytes() == OTHER
    manifest.path.unlink()
    assert download.fetch(at_address(hub), root=root).read_bytes() == OTHER


def test_a_published_sum_counts_more_than_the_first_use(hub: HubDouble, plain: Plain, root: Path) -> None:
    source = UrlSource(url=f"{hub.url}/files/tiny.gguf", sha256=hashlib.sha256(OTHER).hexdigest())
    with pytest.raises(ChecksumMismatch, match="must not be trusted"):
        download.fetch(at_address(hub, sources=(source,)), root=root)
    plain.data = OTHER
    manifest, _ = download.pull(at_address(hub, sources=(source,)), root=root)
    assert manifest.sums == "catalog"


def test_a_break_is_continued_with_the_etag_as_condition(
    hub: HubDouble, plain: Plain, root: Path, impatient: None
) -> None:
    hub.file_faults.append(Fault(cut_after=4 * CHUNK))
    assert download.fetch(at_address(hub), root=root).read_bytes() == DATA
    assert hub.served == len(DATA)
    last = hub.asked("/files/")[-1]
    assert (last.headers["range"], last.headers["if-range"]) == (f"bytes={4 * CHUNK}-", '"first"')


@pytest.mark.parametrize("etag", ['"first"', 'W/"weak"', ""])
def test_a_file_that_changes_during_a_break_is_never_mixed(
    hub: HubDouble, plain: Plain, root: Path, monkeypatch: pytest.MonkeyPatch, etag: str
) -> None:
    from edgellm.download.watch import Watch

    plain.etag = etag
    hub.file_faults.append(Fault(cut_after=4 * CHUNK))

    def change(self: Watch, seconds: float) -> None:
        plain.data, plain.etag = OTHER, etag and '"second"'

    monkeypatch.setattr(Watch, "sleep", change)
    assert download.fetch(at_address(hub), root=root).read_bytes() == OTHER


def test_the_time_of_the_last_change_serves_where_there_is_no_etag(
    hub: HubDouble, plain: Plain, root: Path, impatient: None
) -> None:
    plain.etag, plain.modified = "", "Tue, 24 Nov 2026 10:00:00 GMT"
    hub.file_faults.append(Fault(cut_after=4 * CHUNK))
    assert download.fetch(at_address(hub), root=root).read_bytes() == DATA
    assert hub.served == len(DATA)
    assert hub.asked("/files/")[-1].headers["if-range"] == plain.modified


def test_what_an_earlier_run_left_is_continued_only_if_its_version_is_known(
    hub: HubDouble, plain: Plain, root: Path
) -> None:
    part = root / "tiny" / "tiny.gguf.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(DATA[:100_000])
    (root / "tiny" / "tiny.gguf.part.version").write_text('"first"')
    assert download.fetch(at_address(hub), root=root).read_bytes() == DATA
    assert hub.served == len(DATA) - 100_000
    (root / "tiny" / "tiny.gguf").unlink()
    (root / "known-addresses.json").unlink()
    part.write_bytes(OTHER[:100_000])
    hub.served = 0
    assert download.fetch(at_address(hub), root=root).read_bytes() == DATA
    assert hub.served == len(DATA)
    assert not list((root / "tiny").glob("*.part*"))


def test_a_server_that_does_not_tell_the_length(hub: HubDouble, plain: Plain, root: Path) -> None:
    plain.tells_length = False
    assert download.fetch(at_address(hub), root=root).read_bytes() == DATA


def test_redirects_are_followed_but_not_in_circles(hub: HubDouble, plain: Plain, root: Path) -> None:
    hub.plain["old.gguf"] = Plain(b"", redirect=f"{hub.elsewhere}/files/tiny.gguf")
    source = UrlSource(url=f"{hub.url}/files/old.gguf")
    assert download.fetch(at_address(hub, sources=(source,)), root=root).read_bytes() == DATA
    hub.plain["circle.gguf"] = Plain(b"", redirect=f"{hub.url}/files/circle.gguf")
    circle = at_address(hub, name="other", sources=(UrlSource(url=f"{hub.url}/files/circle.gguf"),))
    with pytest.raises(DownloadError, match="redirect"):
        download.fetch(circle, root=root)


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (Fault(status=401), AccessDenied, "HTTP 401"),
        (Fault(status=403), AccessDenied, "HTTP 403"),
        (Fault(status=404), NotAtSource, "127.0.0.1 has no tiny"),
        (Fault(status=410), NotAtSource, "HTTP 410"),
        (Fault(status=400), DownloadError, "HTTP 400"),
        (Fault(status=429, headers={"retry-after": "3600"}), RateLimited, "in 3600 s"),
    ],
)
def test_refusals_are_told_at_once(
    hub: HubDouble, plain: Plain, root: Path, fault: Fault, kind: type[DownloadError], words: str
) -> None:
    hub.file_faults.append(fault)
    with pytest.raises(kind, match=words):
        download.fetch(at_address(hub), root=root)
    assert len(hub.asked("/files/")) == 1


def test_a_wait_that_the_server_asks_for_is_kept_and_told(
    hub: HubDouble, plain: Plain, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgellm.download.watch import Watch

    slept: list[float] = []
    said: list[str] = []
    say = Watch.say
    monkeypatch.setattr(Watch, "sleep", lambda self, seconds: slept.append(seconds))
    monkeypatch.setattr(Watch, "say", lambda self, words: (said.append(words), say(self, words))[1])
    hub.file_faults.append(Fault(status=429, headers={"retry-after": "7"}))
    assert download.fetch(at_address(hub), root=root).read_bytes() == DATA
    assert slept == [7.0]
    assert said == ["trying again in 7 s: 127.0.0.1 gets too many requests from here (HTTP 429)"]


def test_no_server_at_all_is_told(hub: HubDouble, root: Path, impatient: None) -> None:
    source = UrlSource(url="http://127.0.0.1:9/files/tiny.gguf")
    with pytest.raises(Unreachable, match=r"no answer from 127\.0\.0\.1: .*Check the network"):
        download.fetch(at_address(hub, sources=(source,)), root=root)


def test_an_encrypted_address_must_not_lead_to_plain_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import httpx

    from edgellm.download import url
    from edgellm.download.partial import Partial
    from edgellm.download.remote import Remote
    from edgellm.download.watch import Watch

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "https":
            return httpx.Response(302, headers={"location": "http://plain.example/model.gguf"})
        return httpx.Response(200, content=DATA)

    real = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **options: real(transport=httpx.MockTransport(answer), **options))
    with Partial(tmp_path / "part", noted=True).open(Watch()) as partial:
        with pytest.raises(DownloadError, match=r"leads to plain\.example without encryption"):
            url.receive(Remote(url="https://sure.example/model.gguf", name="model"), partial, Watch())
        assert partial.size == 0


def test_a_copy_from_a_drive_is_continued(hub: HubDouble, root: Path, tmp_path: Path) -> None:
    original = tmp_path / "drive" / "tiny.gguf"
    original.parent.mkdir()
    original.write_bytes(DATA)
    entry = entry_of(DATA, [("a", "b")], sources=(FileSource(path=str(original)),))
    part = root / "tiny" / "tiny.gguf.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(DATA[:123_456])
    seen: list[tuple[str, int, int]] = []
    assert download.fetch(entry, lambda *report: seen.append(report), root=root).read_bytes() == DATA
    assert seen[-1] == ("copying tiny", len(DATA), len(DATA))
    assert not part.exists()


def test_a_drive_that_is_not_there_is_told(root: Path, tmp_path: Path) -> None:
    entry = entry_of(DATA, [("a", "b")], sources=(FileSource(path=str(tmp_path / "gone.gguf")),))
    with pytest.raises(NotAtSource, match=r"cannot read .*gone\.gguf: .* Is the drive there\?"):
        download.fetch(entry, root=root)


def test_a_file_installed_by_a_run_that_was_killed_then_is_taken(hub: HubDouble, plain: Plain, root: Path) -> None:
    sha256 = hashlib.sha256(DATA).hexdigest()
    source = UrlSource(url=f"{hub.url}/files/tiny.gguf", sha256=sha256)
    place = root / "tiny" / "tiny.gguf"
    place.parent.mkdir(parents=True)
    place.write_bytes(DATA)
    assert download.fetch(at_address(hub, sources=(source,)), root=root) == place
    assert hub.served == 0
    assert [manifest.files[0].sum for manifest in Store(root).manifests()] == [sha256]
