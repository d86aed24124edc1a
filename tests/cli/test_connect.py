"""`edgellm connect`: what clients are told is sound, goes where they look, and never over somebody's own settings."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from edgellm.cli.client_config import Server, all_clients

LLM = Path("llm/extra-openai-models.yaml")


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory, which clients look into."""
    home = tmp_path / "user"
    home.mkdir()
    for name in ("HOME", "USERPROFILE", "APPDATA"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("LLM_USER_PATH", str(home / "llm"))
    return home


def test_all_are_listed(command) -> None:  # type: ignore[no-untyped-def]
    listed = command("connect").out.splitlines()
    assert [line.split()[0] for line in listed] == list(all_clients())


def test_printed_is_what_would_be_written(command, user: Path) -> None:  # type: ignore[no-untyped-def]
    printed = command("connect", "llm", "-m", "code")
    assert "extra-openai-models.yaml" in printed.err and not (user / LLM).exists()
    assert command("connect", "llm", "-m", "code", "--write").code == 0
    assert (user / LLM).read_text() == printed.out
    (entry,) = yaml.safe_load(printed.out)
    assert (entry["model_name"], entry["api_base"]) == ("code", "http://127.0.0.1:11435/v1")


def test_what_is_there_stays(command, user: Path) -> None:  # type: ignore[no-untyped-def]
    (user / "llm").mkdir()
    (user / LLM).write_text("- model_id: other\n  model_name: x")
    for _ in range(2):
        assert command("connect", "llm", "--write").code == 0
    assert [entry["model_id"] for entry in yaml.safe_load((user / LLM).read_text())] == ["other", "edgellm"]


@pytest.mark.parametrize(
    ("client", "file", "text"),
    [
        ("llm", LLM, "- model_id: edgellm\n  model_name: mine\n"),
        ("aider", Path(".aider.conf.yml"), "model: gpt-5\n"),
        ("opencode", Path(".config/opencode/opencode.json"), '{"theme": "dark"}\n'),
        ("codex", Path(".codex/config.toml"), 'model = "gpt"\n'),
    ],
)
def test_settings_of_ones_own_are_not_overwritten(command, user: Path, client: str, file: Path, text: str) -> None:  # type: ignore[no-untyped-def]
    (user / file).parent.mkdir(parents=True, exist_ok=True)
    (user / file).write_text(text)
    outcome = command("connect", client, "--write")
    assert outcome.code == 2 and "by hand" in outcome.err
    assert (user / file).read_text() == text


def test_where_keys_are_asked_for(command, user: Path) -> None:  # type: ignore[no-untyped-def]
    secret = command("keys", "create", "aider").out.strip()
    printed = command("connect", "aider")
    assert "openai-api-key: KEY\n" in printed.out and "keys create" in printed.err
    assert command("connect", "aider", "--write").code == 2
    assert command("connect", "aider", "--write", "--key", secret).code == 0
    file = user / ".aider.conf.yml"
    assert yaml.safe_load(file.read_text())["openai-api-key"] == secret
    if sys.platform != "win32":
        assert file.stat().st_mode & 0o777 == 0o600


def test_variables_are_only_printed(command, user: Path) -> None:  # type: ignore[no-untyped-def]
    assert "OPENAI_BASE_URL" in command("connect", "openai").out
    assert "has no file" in command("connect", "openai", "--write").err


def test_an_unknown_client(command) -> None:  # type: ignore[no-untyped-def]
    outcome = command("connect", "nobody")
    assert outcome.code == 2 and "there are: aider" in outcome.err


def test_each_file_can_be_read_back(user: Path) -> None:
    server = Server("http://127.0.0.1:1", "m", "k", 4096)
    made = {name: client.config(server).text for name, client in all_clients().items()}
    assert json.loads(made["opencode"])["provider"]["edgellm"]["models"]["m"]["limit"]["context"] == 4096
    assert yaml.safe_load(made["aider"])["model"] == "openai/m"
    codex = tomllib.loads(made["codex"])
    assert (codex["model"], codex["model_context_window"]) == ("m", 4096)
    assert codex["model_providers"]["edgellm"]["http_headers"] == {"Authorization": "Bearer k"}
    assert yaml.safe_load(made["llm"])[0]["api_key_name"] == "edgellm"
    assert "API_BASE_URL=http://127.0.0.1:1/v1\n" in made["sgpt"]
