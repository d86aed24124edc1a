"""`Upstream`: a server elsewhere that speaks OpenAI's dialect and answers for its models under a name of its own."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from edgellm.catalog.entry import Name

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
KEYRING = "keyring"
_VARIABLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)\Z")


class Upstream(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table `[upstreams.NAME]`. `url` with or without `/v1` at its end.

    `key` says where its key is, never what it is: `env:VARIABLE`, or `keyring` (service `edgellm`, user NAME); empty if
    it asks for none. `connect_s`, `first_token_s` and `total_s` are how many seconds a connection, the first words of
    an answer and the whole answer may take; no total, no limit. `models` are the names or patterns (`qwen*`) of those
    that are offered; empty: all.
    """

    name: Name
    url: str
    key: str = ""
    connect_s: Seconds = 5.0
    first_token_s: Seconds = 120.0
    total_s: Seconds | None = None
    models: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """The environment variable that holds the key; "" where none does."""
        found = _VARIABLE.match(self.key)
        return found[1] if found else ""

    def offers(self, model: str) -> bool:
        """Whether the model that the server calls so may be used; upper and lower case are the same."""
        return not self.models or any(fnmatchcase(model.lower(), each.lower()) for each in self.models)

    def problem(self) -> str | None:
        """The first thing that cannot be, in words, or None. It repeats no key, in whichever place one was written."""
        if self.key not in ("", KEYRING) and not self.variable:
            return "key: it says where the key is, env:VARIABLE or keyring, and is not the key itself"
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if host is None or parts.scheme not in ("http", "https") or not self.url.isprintable() or " " in self.url:
            return "url: it must be an address like http://HOST:PORT/v1"
        if "@" in parts.netloc or parts.query or parts.fragment:
            return "url: it must hold no password, no '?' and no '#'; where the key is, `key` tells"
        return None
