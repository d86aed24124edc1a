"""Who listens to a controller: what it is told, and how it leaves."""

from __future__ import annotations

from pathlib import Path

from tests.doubles.context_model import ContextModel
from tests.doubles.waiting import until
from tui.controller import Controller
from tui.notices import Notice, Outgrown
from tui.store.store import Store


async def test_a_message_that_is_too_long_alone_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "conversations")
    await store.open()
    chat, heard = Controller(store), list[Notice]()
    chat.listen(heard.append)
    await chat.use(ContextModel(context=100))
    await chat.send("word " * 90)
    await until(lambda: chat.state == "failed")
    assert "90 tokens" in chat.detail and len(chat.path) == 1
    assert next(notice for notice in heard if isinstance(notice, Outgrown)).offers == ()
    await chat.close()
    await store.close()


async def test_listeners_can_leave(tmp_path: Path) -> None:
    store = Store(tmp_path / "conversations")
    await store.open()
    controller = Controller(store)
    heard: list[Notice] = []
    leave = controller.listen(heard.append)
    leave()
    await controller.send("hello")
    assert heard == []
    await controller.close()
    await store.close()
