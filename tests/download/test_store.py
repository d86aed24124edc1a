"""The store: sums are computed once, and again when the file changed; sizes decide what is present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgellm.download import store as storage
from edgellm.download.report import size
from edgellm.download.store import Store
from edgellm.download.sums import checksum
from edgellm.errors import DownloadError
from tests.doubles.wheels import entry_of

CONTENT = b"model" * 1000


@pytest.fixture
def installed(root: Path) -> Path:
    entry = entry_of(CONTENT, [("a", "b")])
    store = Store(root)
    with store.lock(entry.name):
        return store.install(entry, lambda incoming: incoming.write(CONTENT))


def test_a_verified_file_is_not_read_again(installed: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "checksum", lambda *arguments: pytest.fail("computed again"))
    assert Store(root).is_verified(entry_of(CONTENT, [("a", "b")]))


def test_a_touched_file_is_read_again_and_then_known(
    installed: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(installed, (1, 1))
    reports: list[tuple[str, int, int]] = []
    entry = entry_of(CONTENT, [("a", "b")])
    assert Store(root).is_verified(entry, lambda *report: reports.append(report))
    assert reports[-1] == ("verifying tiny", len(CONTENT), len(CONTENT))
    monkeypatch.setattr(storage, "checksum", lambda *arguments: pytest.fail("computed again"))
    assert Store(root).is_verified(entry)


def test_a_changed_file_is_present_but_not_verified(installed: Path, root: Path) -> None:
    entry = entry_of(CONTENT, [("a", "b")])
    installed.write_bytes(b"x" * len(CONTENT))
    os.utime(installed, (1, 1))
    assert Store(root).is_present(entry)
    assert not Store(root).is_verified(entry)


def test_a_stamp_is_not_believed_for_another_sum(installed: Path, root: Path) -> None:
    assert not Store(root).is_verified(entry_of(CONTENT, [("a", "b")], sha256="0" * 64))


def test_a_short_file_is_not_present(installed: Path, root: Path) -> None:
    installed.write_bytes(CONTENT[:-1])
    assert not Store(root).is_present(entry_of(CONTENT, [("a", "b")]))


def test_the_sum_of_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="cannot read"):
        checksum(tmp_path / "none")


def test_an_error_while_writing_leaves_no_partial_file(root: Path) -> None:
    entry, store = entry_of(CONTENT, [("a", "b")]), Store(root)

    def fail(incoming: storage.Incoming) -> None:
        incoming.write(CONTENT[:10])
        raise KeyboardInterrupt

    with store.lock(entry.name), pytest.raises(KeyboardInterrupt):
        store.install(entry, fail)
    assert not list(root.rglob("*.partial"))
    assert not store.is_present(entry)


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (98_362_432, "98.4 MB"), (999_960, "1.0 MB"), (2 * 10**12, "2.0 TB")],
)
def test_sizes_read_like_a_shop_sign(count: int, words: str) -> None:
    assert size(count) == words
