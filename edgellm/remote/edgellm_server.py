"""This user's own running server, asked from a command: one request after the other, without an event loop."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from edgellm.errors import ModelNotFound, Unavailable
from edgellm.remote.refusal import refusal

_CONNECT_S = 5.0


class EdgeServer:
    """`token` is what the server gave this user's programs. Waits as long as the server works."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._headers = {"authorization": f"Bearer {token}"}

    def loaded(self) -> list[dict[str, Any]]:
        """The models in memory, as /api/ps tells of them."""
        return list(self._json("GET", "/api/ps")["models"])

    def listed(self) -> list[dict[str, Any]]:
        """All models, as /v1/models tells of them."""
        return list(self._json("GET", "/v1/models")["data"])

    def named(self, name: str) -> dict[str, Any] | None:
        """The model that answers to `name` there; None if none does."""
        try:
            return self._json("GET", f"/v1/models/{quote(name, safe='')}")
        except ModelNotFound:
            return None

    def unload(self, name: str) -> None:
        """Returns once it is out of memory, which waits for its requests. Raises ModelNotFound."""
        self._json("POST", "/models/unload", {"model": name})

    def _json(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        import httpx

        try:
            timeout = httpx.Timeout(None, connect=_CONNECT_S)
            with httpx.Client(headers=self._headers, timeout=timeout, trust_env=False) as client:
                response = client.request(method, self.url + path, json=body)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(f"The server at {self.url} does not answer: {reason}.") from None
        if response.is_error:
            raise refusal(self.url, response.status_code, response.text)
        try:
            return dict(response.json())
        except (json.JSONDecodeError, TypeError, ValueError):
            raise Unavailable(f"{self.url} does not answer as an edgellm server.") from None
