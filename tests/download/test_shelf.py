"""What is left over, and what is not: a transfer that runs just now is nobody's leftover."""

from __future__ import annotations

import os
from pathlib import Path

import filelock
import pytest

from edgellm import download
from edgellm.catalog.reference import HubReference
from edgellm.download import shelf
from edgellm.download.store import Store
from edgellm.errors import Unreachable
from tests.doubles.hub import CHUNK, Fault, HubDouble, Repository

Q4 = os.urandom(200_000)
NAME = "maker/Tiny-GGUF"


@pytest.fixture
def begun(hub: HubDouble, root: Path, impatient: None) -> Path:
    """A transfer from the hub that broke off; where its part lies."""
    hub.repositories[NAME] = Repository({"Tiny-Q4_K_M.gguf": Q4})
    hub.file_faults.append(Fault(cut_after=4 * CHUNK))
    hub.file_faults.extend([Fault(status=503)] * 10)
    with pytest.raises(Unreachable):
        download.fetch(HubReference(NAME), root=root)
    hub.file_faults.clear()
    (part,) = root.parent.rglob("*.incomplete")
    return part


def test_a_part_in_the_hubs_cache_is_found_and_removed(begun: Path, root: Path) -> None:
    store = Store(root)
    (leftover,) = shelf.leftovers(store, ())
    assert (leftover.path, leftover.bytes, leftover.why) == (str(begun), 4 * CHUNK, "an unfinished transfer")
    assert shelf.discard(leftover, store) == 4 * CHUNK
    assert not begun.exists()
    assert shelf.leftovers(store, ()) == []


def test_parts_of_other_tools_are_theirs(begun: Path, root: Path) -> None:
    begun.with_name("f" * 64 + ".incomplete").write_bytes(b"x")
    assert [leftover.path for leftover in shelf.leftovers(Store(root), ())] == [str(begun)]


def test_what_is_being_written_is_left_out(begun: Path, root: Path) -> None:
    (lock,) = root.rglob(".lock")
    with filelock.FileLock(lock):
        assert shelf.leftovers(Store(root), ()) == []


def test_a_transfer_goes_on_after_all_and_leaves_nothing(begun: Path, root: Path, hub: HubDouble) -> None:
    assert download.fetch(HubReference(NAME), root=root).read_bytes() == Q4
    assert hub.served == len(Q4)
    assert shelf.leftovers(Store(root), ()) == []
    (manifest,) = Store(root).manifests()
    assert manifest.files[0].owned
    assert shelf.remove(manifest, Store(root)) >= len(Q4)
    assert not list(root.parent.rglob("*.gguf"))
    assert not begun.with_suffix("").exists()


def test_a_blob_that_another_commit_needs_stays(hub: HubDouble, root: Path) -> None:
    from huggingface_hub import hf_hub_download

    hub.repositories[NAME] = Repository({"Tiny-Q4_K_M.gguf": Q4})
    manifest, _ = download.pull(HubReference(NAME), root=root)
    hub.repositories[NAME].change({"Tiny-Q4_K_M.gguf": Q4, "README.md": b"new"})
    other = Path(hf_hub_download(NAME, "Tiny-Q4_K_M.gguf"))
    shelf.remove(manifest, Store(root))
    assert other.read_bytes() == Q4
    assert not manifest.path.exists()
