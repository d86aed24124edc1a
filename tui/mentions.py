"""Files that a message names with `@`: offered while they are typed, read when it is sent."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from pathlib import Path

from edgellm.model import Model
from tui import files
from tui.store.records import Attachment
from tui.widgets.suggestions import Suggestion

FRESH_S = 10.0
"""How long a listing of the folder is good for."""
_MENTION = re.compile(r"""(?:^|(?<=[\s(]))@(?:"([^"\n]+)"|(\S+))""")
_TYPED = re.compile(r"(?:^|\s)@(\S*)\Z")
_AFTER = ".,;:!?)]}>'\"`"
"""What may stand behind a name in a sentence."""
_LIKE_A_FILE = re.compile(r"[\w.~/\\ -]*(?:[/\\][\w. -]+|\.\w{1,5})\Z")


class Mentions:
    """Of files below `folder`, which is listed when the first `@` is typed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: Sequence[str] = ()
        self._listed = -FRESH_S

    @staticmethod
    def typed(text: str) -> str | None:
        """What follows the `@` that is being typed at the end of `text`, if one is."""
        match = _TYPED.search(text)
        return None if match is None else match[1]

    async def exported(self, query: str) -> list[Suggestion]:
        """Files that a conversation may be in."""
        names = [name for name in await self._listing() if name.endswith((".md", ".json"))]
        found = files.find(query, names)
        return [] if query in found[:1] else [Suggestion(name) for name in found if " " not in name]

    async def _listing(self) -> Sequence[str]:
        if time.monotonic() - self._listed >= FRESH_S:
            self._names = await asyncio.to_thread(files.listing, self._folder)
            self._listed = time.monotonic()
        return self._names

    async def suggestions(self, query: str) -> list[Suggestion]:
        found = files.find(query.lstrip('"'), await self._listing())
        return [] if query in found[:1] else [Suggestion(f"@{_quoted(name)} ") for name in found]

    async def attachments(self, text: str, model: Model | None) -> tuple[Attachment, ...]:
        """The files that `text` names. A word that is no file's name is left alone. Raises RequestError."""
        names = [name for name in map(self._file, _words(text)) if name is not None]
        found = [await asyncio.to_thread(files.read, self._folder, name) for name in dict.fromkeys(names)]
        return tuple([await files.counted(model, one) if model is not None else one for one in found])

    def missing(self, text: str) -> list[str]:
        """Words that look like the name of a file, and are none."""
        words = [word.rstrip(_AFTER) for word in _words(text) if self._file(word) is None]
        return [word for word in dict.fromkeys(words) if _LIKE_A_FILE.match(word)]

    def _file(self, word: str) -> str | None:
        """The name of the file that is meant, without what belongs to the sentence around it."""
        return next((name for name in (word, word.rstrip(_AFTER)) if files.is_file(self._folder, name)), None)


def _words(text: str) -> list[str]:
    return [quoted or word for quoted, word in _MENTION.findall(text)]


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name
