"""The chat app as a process at a terminal, which a test types into and kills; its model writes down what it said.

Run as `python -m tests.doubles.killed_app FOLDER`: conversations are kept below it, `said` has a line a piece
(Unix time, conversation's question, number), and opening the model takes a while, as a download does.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from edgellm.config import Settings
from edgellm.events import Event, Finished, Started, Text, Timings, Usage
from edgellm.model import Model
from edgellm.request import ChatRequest, Conversation
from tests.doubles.scripted_model import ScriptedModel
from tui.app import ChatApp
from tui.opening import Report
from tui.start import Start

PIECE_S = 0.01
DOWNLOAD_S = 1.0


class Stream(ScriptedModel):
    """Writes `p0 p1 p2 ...`, and each of them into `record` as well."""

    def __init__(self, record: Path) -> None:
        super().__init__([["unused"]], name="stream")
        self._record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        assert isinstance(request.input, Conversation)
        questions = re.findall(r"^q\d+-\d+", request.input.messages[-1].text, re.MULTILINE)
        yield Started(prompt_tokens=1, cached_tokens=0)
        for number in range(400):
            await asyncio.sleep(PIECE_S)
            yield Text(f"p{number} ")
            if questions:  # those without an answer come with the next one
                os.write(self._record, f"{time.time()} {questions[-1]} {number}\n".encode())
        yield Finished("stop", Usage(), Timings())


def main(folder: Path) -> int:
    def open_model(name: str, settings: Settings, report: Report) -> Model:
        begin = time.monotonic()
        while (passed := time.monotonic() - begin) < DOWNLOAD_S:
            report(f"fetching {name}", int(passed * 1e9), int(DOWNLOAD_S * 1e9))
            time.sleep(0.02)
        return Stream(folder / "said")

    app = ChatApp(Start(settings=Settings(), folder=folder / "chats", resume=True, open_model=open_model))
    app.run()
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
