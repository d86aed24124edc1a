"""Keys are kept hashed, by their owner alone; a change counts at once for whoever holds the store open."""

from __future__ import annotations

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgellm.errors import ConfigError, RequestError
from edgellm.server.key_store import KeyStore


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyStore:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    return KeyStore()


def test_a_secret_opens_and_is_kept_nowhere(store: KeyStore) -> None:
    secret = store.create("laptop")
    assert re.fullmatch(r"ek-[\w-]{43}", secret)
    assert store.holder(secret) == "laptop"
    assert [store.holder(other) for other in ("", "ek-", secret[:-1], secret + "x", "schlüssel", "\udc80")] == [
        None
    ] * 6
    kept = store.file.read_text()
    assert secret not in kept and secret[10:] not in kept
    (key,) = store.all()
    assert (key.name, key.prefix) == ("laptop", secret[:9])


def test_a_change_by_another_program_counts_at_once(store: KeyStore) -> None:
    other = KeyStore(store.file)
    first = store.create("a")
    assert other.holder(first) == "a"
    second = store.rotate("a")
    assert (other.holder(first), other.holder(second)) == (None, "a")
    store.revoke("a")
    assert other.holder(second) is None and other.all() == ()


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "x" * 65, "ü"])
def test_odd_names_are_refused(store: KeyStore, name: str) -> None:
    with pytest.raises(RequestError, match="cannot be a key's name"):
        store.create(name)
    assert store.all() == ()


def test_names_taken_and_unknown(store: KeyStore) -> None:
    store.create("a")
    with pytest.raises(RequestError, match="there is a key 'a' already"):
        store.create("a")
    for change in (store.revoke, store.rotate):
        with pytest.raises(RequestError, match=r"no key 'b'. There are: a"):
            change("b")


def test_many_at_once_lose_none(store: KeyStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = list(pool.map(lambda i: KeyStore(store.file).create(f"k{i}"), range(24)))
    assert {store.holder(secret) for secret in secrets} == {f"k{i}" for i in range(24)}


@pytest.mark.skipif(sys.platform == "win32", reason="permissions there are not modes")
def test_the_file_is_its_owners_alone(store: KeyStore) -> None:
    secret = store.create("a")
    assert store.file.stat().st_mode & 0o777 == 0o600
    store.file.chmod(0o620)
    os.utime(store.file, ns=(1, 1))
    with pytest.raises(ConfigError, match="others may write"):
        store.holder(secret)


def test_a_damaged_file_lets_nobody_in(store: KeyStore) -> None:
    store.create("a")
    store.file.write_text("[{")
    with pytest.raises(ConfigError, match="is damaged"):
        store.holder("x")
