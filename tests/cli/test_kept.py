"""`edgellm pull`, `models`, `rm`, `verify` and `prune` against a stand-in for the hub, each with its `--json`."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgellm.catalog import catalog
from edgellm.catalog.catalog import Catalog
from edgellm.catalog.sources import FileSource, UrlSource
from tests.doubles.hub import HubDouble, Plain, Repository
from tests.doubles.wheels import entry_of

Q4 = os.urandom(200_000)
NAME = "maker/Tiny-GGUF"
REFERENCE = f"{NAME}:Q4_K_M"


@pytest.fixture
def tiny(hub: HubDouble, home: Path, monkeypatch: pytest.MonkeyPatch) -> HubDouble:
    """The hub has one repository; the catalog knows one model on the web and one on a drive."""
    hub.repositories[NAME] = Repository({"Tiny-Q4_K_M.gguf": Q4})
    hub.plain["web.gguf"] = Plain(Q4)
    (home / "drive.gguf").write_bytes(Q4)
    web = entry_of(
        b"",
        [("a", "b")],
        name="web",
        file="",
        bytes=0,
        sha256="",
        sources=(UrlSource(url=f"{hub.url}/files/web.gguf"),),
    )
    drive = entry_of(Q4, [("a", "b")], name="drive", sources=(FileSource(path=str(home / "drive.gguf")),))
    monkeypatch.setattr(catalog, "shipped", lambda: Catalog({"web": web, "drive": drive}, {}))
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "huggingface" / "hub"))
    return hub


def test_several_models_are_pulled_and_listed_and_removed(command, tiny: HubDouble, home: Path) -> None:
    outcome = command("pull", f"hf.co/{REFERENCE}", "web", "drive")
    assert outcome.code == 0
    assert f"{REFERENCE} is ready: " in outcome.out
    assert f"edgellm remembers this one (sha256 {hashlib.sha256(Q4).hexdigest()})" in outcome.out
    assert f"downloading {REFERENCE}: 100% of 0.2 MB" in outcome.err
    rows = json.loads(command("models", "--here", "--json").out)
    assert {row["name"] for row in rows} == {REFERENCE, "web", "drive"}
    assert all(Path(row["path"]).read_bytes() == Q4 for row in rows)
    removed = json.loads(command("rm", REFERENCE, "web", "drive", "--json").out)
    assert [row["left"] for row in removed] == [[], [], []]
    assert all(row["freed"] >= len(Q4) for row in removed)
    assert not any(Path(row["path"]).exists() for row in rows)
    assert json.loads(command("models", "--here", "--json").out) == []
    assert (home / "drive.gguf").read_bytes() == Q4


def test_pull_again_tells_that_it_is_here(command, tiny: HubDouble) -> None:
    command("pull", REFERENCE)
    (row,) = json.loads(command("pull", REFERENCE, "--json").out)
    assert row["state"] == "here"
    assert row["files"] == [{"file": "Tiny-Q4_K_M.gguf", "bytes": len(Q4), "sum": hashlib.sha256(Q4).hexdigest()}]
    assert tiny.served == len(Q4)


def test_one_that_fails_does_not_keep_the_others_from_coming(command, tiny: HubDouble) -> None:
    outcome = command("pull", "maker/none", REFERENCE)
    assert outcome.code == 1
    assert outcome.err.startswith("error: 127.0.0.1 shows no repository maker/none")
    assert f"{REFERENCE} is ready" in outcome.out
    rows = json.loads(command("pull", "maker/none", REFERENCE, "--json").out)
    assert [row.get("error", {}).get("code") for row in rows] == ["not_at_source", None]


def test_verify_finds_a_damaged_file_and_pull_mends_it(command, tiny: HubDouble) -> None:
    (row,) = json.loads(command("pull", REFERENCE, "--json").out)
    assert command("verify").out == f"{REFERENCE}: ok\n"
    Path(row["path"]).resolve().write_bytes(bytes(len(Q4)))
    outcome = command("verify", REFERENCE)
    assert outcome.code == 1
    assert f"{REFERENCE}: DAMAGED: {row['path']}" in outcome.out
    (told,) = json.loads(command("verify", "--json").out)
    assert (told["ok"], told["damaged"]) == (False, [row["path"]])
    assert command("pull", REFERENCE).code == 0
    assert command("verify", REFERENCE).code == 0


def test_verify_of_nothing(command, tiny: HubDouble) -> None:
    assert command("verify").out.startswith("no models are here yet")
    outcome = command("verify", "web")
    assert (outcome.code, outcome.err[:36]) == (1, "error: web is not on this machine. `")


def test_what_another_tool_brought_is_used_listed_and_left(command, tiny: HubDouble) -> None:
    from huggingface_hub import hf_hub_download

    there = Path(hf_hub_download(NAME, "Tiny-Q4_K_M.gguf"))
    (row,) = json.loads(command("pull", REFERENCE, "--json").out)
    assert (row["state"], row["path"]) == ("here", str(there))
    (removed,) = json.loads(command("rm", REFERENCE, "--json").out)
    assert removed["left"] == [str(there)]
    assert there.read_bytes() == Q4


def test_rm_removes_nothing_when_one_name_is_wrong(command, tiny: HubDouble, home: Path) -> None:
    command("pull", "drive")
    assert command("rm", "drive", "wbe").code == 1
    outcome = command("rm", str(home / "drive.gguf"))
    assert outcome.code == 1
    assert "a file of yours" in outcome.err
    assert json.loads(command("models", "--here", "--json").out)[0]["name"] == "drive"


def test_prune_asks_and_removes_parts_and_forgotten_models(
    command, tiny: HubDouble, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("pull", "drive", REFERENCE)
    part = home / "data" / "models" / "web" / "web.gguf.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 1234)
    web = catalog.current().entries["web"]
    monkeypatch.setattr(catalog, "shipped", lambda: Catalog({"web": web}, {}))
    refused = command("prune")
    assert refused.code == 2
    assert "--yes" in refused.err
    told = json.loads(command("prune", "--json").out)
    assert [(Path(found["path"]).name, found["why"]) for found in told["found"]] == [
        ("drive", "the catalog no longer has this model"),
        ("web.gguf.part", "an unfinished transfer"),
    ]
    assert not told["removed"]
    assert part.exists()
    outcome = command("prune", "--yes")
    assert outcome.code == 0
    assert not part.exists()
    assert not (home / "data" / "models" / "drive").exists()
    assert command("prune").out == "there is nothing to remove\n"
    assert command("verify").out == f"{REFERENCE}: ok\n"


def test_offline_is_refused_and_what_is_here_is_not(command, tiny: HubDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    command("pull", REFERENCE)
    monkeypatch.setenv("EDGELLM_OFFLINE", "1")
    tiny.requests.clear()
    assert command("pull", REFERENCE).out.startswith(f"{REFERENCE} is already here")
    refused = command("pull", "web")
    assert refused.code == 1
    assert "offline setting forbids" in refused.err
    assert command("models").code == 0
    assert tiny.requests == []


GUARD = """
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"):
        print("NETWORK", event, arguments, file=sys.stderr)
sys.addaudithook(refuse)
from edgellm.cli.main import main
for command in sys.argv[1:]:
    print(command, main(command.split()))
"""


def test_offline_touches_no_network_at_all(home: Path) -> None:
    environment = {**os.environ, "EDGELLM_HOME": str(home), "HF_HOME": str(home / "hf"), "EDGELLM_OFFLINE": "1"}
    commands = ["models --json", "pull default", "pull maker/Tiny-GGUF:Q4_0", "pull https://host.example/a.gguf"]
    commands += ["verify", "prune --json", "run -m maker/Tiny-GGUF:Q4_0 hello"]
    done = subprocess.run(
        [sys.executable, "-c", GUARD, *commands], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "NETWORK" not in done.stderr
    assert done.stderr.count("the offline setting forbids to fetch it") == 4
    assert [line for line in done.stdout.splitlines() if line in {f"{c} 1" for c in commands}] == [
        f"{c} 1" for c in commands if c.startswith(("pull", "run"))
    ]
