"""A controller talked to without an app: what it told, what was said."""

from __future__ import annotations

from typing import Any

from tui.controller import Controller
from tui.notices import Notice


def of(kind: type[Notice], chat: Any) -> list[Any]:
    return [notice for notice in chat.heard if isinstance(notice, kind)]


def said(chat: Controller) -> list[str]:
    return [entry.text for entry in chat.path]


async def talk(chat: Controller, *texts: str) -> None:
    for text in texts:
        await chat.send(text)
        await chat.settled()
