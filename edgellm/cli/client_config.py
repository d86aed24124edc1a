"""What each client needs to be told to use this server: variables, or some lines of a file of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

NAME = "edgellm"
NO_KEY = "none"
"""What is written where a client wants some key and the server asks for none."""


class Server(msgspec.Struct, frozen=True):
    """What a client is connected to: `url` without a path, a model's name, and a key ("" where none is asked for)."""

    url: str
    model: str
    key: str = ""
    context: int = 0

    @property
    def shown_key(self) -> str:
        return self.key or NO_KEY


class Config(msgspec.Struct, frozen=True):
    """`text` belongs into `file`, or, where that is None, consists of variables for the shell.

    `marks` are what the file has once it is connected; `try_it` is a command. A file that is JSON cannot be added to.
    """

    text: str
    try_it: str
    file: Path | None = None
    marks: tuple[str, ...] = ()
    can_add: bool = True


class Client(msgspec.Struct, frozen=True):
    name: str
    about: str
    config: Callable[[Server], Config]


def all_clients() -> dict[str, Client]:
    clients = (
        Client("aider", "Aider, pair programming in the terminal", _aider),
        Client("anthropic", "Anthropic's SDKs, and programs made with them", _anthropic),
        Client("claude", "Claude Code, Anthropic's coding agent in the terminal", _claude),
        Client("codex", "Codex, OpenAI's coding agent in the terminal", _codex),
        Client("llm", "Simon Willison's llm command", _llm),
        Client("ollama", "Ollama's own command and SDKs", _ollama),
        Client("openai", "OpenAI's SDKs, and programs made with them", _openai),
        Client("opencode", "opencode, a coding agent in the terminal", _opencode),
        Client("qwen", "Qwen Code, a coding agent in the terminal", _qwen),
        Client("sgpt", "ShellGPT", _sgpt),
    )
    return {client.name: client for client in clients}


def _variables(values: Mapping[str, str]) -> str:
    """Lines for the shell that is usual on this platform."""
    if sys.platform == "win32":
        return "".join(f"$env:{name} = '{value}'\n" for name, value in values.items())
    return "".join(f"export {name}={value}\n" for name, value in values.items())


def _openai(server: Server) -> Config:
    values = {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": server.shown_key}
    return Config(_variables(values), f"python: openai.OpenAI().chat.completions.create(model={server.model!r}, ...)")


def _anthropic(server: Server) -> Config:
    values = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": server.shown_key}
    return Config(_variables(values), f"python: anthropic.Anthropic().messages.create(model={server.model!r}, ...)")


def _claude(server: Server) -> Config:
    """Its background work asks for a model of its own, which shall be the same one."""
    values = {
        "ANTHROPIC_BASE_URL": server.url,
        "ANTHROPIC_AUTH_TOKEN": server.shown_key,
        "ANTHROPIC_MODEL": server.model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": server.model,
    }
    return Config(_variables(values), "claude -p 'Say hello.'")


def _codex(server: Server) -> Config:
    lines = [
        f'model = "{server.model}"',
        f'model_provider = "{NAME}"',
        *([f"model_context_window = {server.context}"] if server.context else []),
        f"[model_providers.{NAME}]",
        f'name = "{NAME}"',
        f'base_url = "{server.url}/v1"',
        'wire_api = "responses"',
        *([f'http_headers = {{ Authorization = "Bearer {server.key}" }}'] if server.key else []),
    ]
    file = Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex") / "config.toml"
    return Config("\n".join(lines) + "\n", "codex exec 'Say hello.'", file, ("model",), can_add=False)


def _qwen(server: Server) -> Config:
    values = {
        "OPENAI_BASE_URL": f"{server.url}/v1",
        "OPENAI_API_KEY": server.shown_key,
        "OPENAI_MODEL": server.model,
    }
    return Config(_variables(values), "qwen --auth-type openai -p 'Say hello.'")


def _ollama(server: Server) -> Config:
    values = {"OLLAMA_HOST": server.url} | ({"OLLAMA_API_KEY": server.key} if server.key else {})
    return Config(_variables(values), f"python: ollama.chat(model={server.model!r}, ...)")


def _llm(server: Server) -> Config:
    """llm asks for a key only where `api_key_name` names one."""
    lines = [
        f"- model_id: {NAME}",
        f"  model_name: {server.model}",
        f'  api_base: "{server.url}/v1"',
        "  supports_tools: true",
        "  supports_schema: true",
        *([f"  api_key_name: {NAME}"] if server.key else []),
    ]
    before = f"llm keys set {NAME} && " if server.key else ""
    file = _app_dir("io.datasette.llm", "LLM_USER_PATH") / "extra-openai-models.yaml"
    return Config("\n".join(lines) + "\n", f"{before}llm -m {NAME} 'Say hello.'", file, (f"model_id: {NAME}",))


def _aider(server: Server) -> Config:
    lines = [
        f"model: openai/{server.model}",
        f"openai-api-base: {server.url}/v1",
        f"openai-api-key: {server.shown_key}",
        "show-model-warnings: false",
    ]
    marks = ("model:", "openai-api-base:", "openai-api-key:")
    return Config("\n".join(lines) + "\n", "aider", Path.home() / ".aider.conf.yml", marks)


def _sgpt(server: Server) -> Config:
    values = {
        "API_BASE_URL": f"{server.url}/v1",
        "DEFAULT_MODEL": server.model,
        "OPENAI_API_KEY": server.shown_key,
        "OPENAI_USE_FUNCTIONS": "false",
    }
    file = Path.home() / ".config" / "shell_gpt" / ".sgptrc"
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    return Config(text, "sgpt 'Say hello.'", file, tuple(f"{name}=" for name in values))


def _opencode(server: Server) -> Config:
    limit = {"limit": {"context": server.context, "output": server.context // 2}} if server.context else {}
    options = {"baseURL": f"{server.url}/v1"} | ({"apiKey": server.key} if server.key else {})
    config = {
        "$schema": "https://opencode.ai/config.json",
        "model": f"{NAME}/{server.model}",
        "provider": {
            NAME: {
                "npm": "@ai-sdk/openai-compatible",
                "name": NAME,
                "options": options,
                "models": {server.model: {"name": server.model, **limit}},
            }
        },
    }
    file = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "opencode" / "opencode.json"
    return Config(json.dumps(config, indent=2) + "\n", "opencode run 'Say hello.'", file, (f'"{NAME}"',), can_add=False)


def _app_dir(name: str, variable: str) -> Path:
    """Where programs made with click keep their settings, unless `variable` names another place."""
    if os.environ.get(variable):
        return Path(os.environ[variable])
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home()) / name
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / name
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / name
