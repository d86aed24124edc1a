"""Full-text search over titles and messages with snippets; without FTS5, or with no hit by words, by substring."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from sqlite3 import Connection, Row

from tui.store.records import Hit
from tui.store.rows import readable

LIMIT = 100
_BEGIN, _END = "\x01", "\x02"  # marks around matches; a message that contains them only gets odd highlights
_SNIPPET_TOKENS = 24
_AROUND = 60


def find(connection: Connection, query: str, limit: int = LIMIT) -> tuple[Hit, ...]:
    """Titles first, then messages by relevance. All words must occur, the last one may be unfinished.

    Call it with `Store.write`: what changed since the last search is put into the index first.
    """
    words = readable(query).replace("\0", " ").split()
    if not words:
        return ()
    titles = list(_titles(connection, words, limit))
    messages = list(_by_words(connection, words, limit)) or list(_by_substring(connection, words, limit))
    return tuple((titles + messages)[:limit])


def _titles(connection: Connection, words: list[str], limit: int) -> Iterator[Hit]:
    where = " AND ".join("title LIKE ? ESCAPE '\\'" for _ in words)
    sql = f"SELECT * FROM chats WHERE deleted IS NULL AND {where} ORDER BY updated DESC LIMIT ?"
    for row in connection.execute(sql, (*map(_pattern, words), limit)):
        ranges = _ranges(row["title"], words)
        yield Hit(
            chat=row["id"],
            title=row["title"],
            entry=None,
            speaker=None,
            snippet=row["title"],
            ranges=ranges,
            created=row["updated"],
        )


def _by_words(connection: Connection, words: list[str], limit: int) -> Iterator[Hit]:
    if not _index(connection):
        return
    # Quoted, so that nothing a person types is an operator of the query language.
    quoted = ['"' + word.replace('"', '""') + '"' for word in words]
    sql = f"""SELECT e.id, e.chat, e.speaker, e.created, c.title,
            snippet(entry_words, 0, '{_BEGIN}', '{_END}', '…', {_SNIPPET_TOKENS}) AS found
        FROM entry_words w JOIN entries e ON e.id = w.rowid JOIN chats c ON c.id = e.chat
        WHERE entry_words MATCH ? AND c.deleted IS NULL ORDER BY rank, e.id DESC LIMIT ?"""
    for row in connection.execute(sql, (" ".join(quoted) + "*", limit)):
        yield _hit(row, *_unmarked(row["found"]))


def _by_substring(connection: Connection, words: list[str], limit: int) -> Iterator[Hit]:
    where = " AND ".join("e.text LIKE ? ESCAPE '\\'" for _ in words)
    sql = f"""SELECT e.id, e.chat, e.speaker, e.created, c.title, e.text
        FROM entries e JOIN chats c ON c.id = e.chat
        WHERE c.deleted IS NULL AND {where} ORDER BY e.id DESC LIMIT ?"""
    for row in connection.execute(sql, (*map(_pattern, words), limit)):
        snippet = _around(row["text"], words)
        yield _hit(row, snippet, _ranges(snippet, words))


def _index(connection: Connection) -> bool:
    """Bring the index up to date; False if this SQLite has none."""
    try:
        connection.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS entry_words"
            " USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2')"
        )
        stale = "SELECT id FROM entries WHERE indexed = 0 AND state != 'streaming'"
        connection.execute(f"DELETE FROM entry_words WHERE rowid IN ({stale})")
        connection.execute(f"INSERT INTO entry_words (rowid, text) SELECT id, text FROM entries WHERE id IN ({stale})")
        connection.execute("UPDATE entries SET indexed = 1 WHERE indexed = 0 AND state != 'streaming'")
    except sqlite3.OperationalError as error:
        if "no such module" in str(error):
            return False
        raise
    return True


def _hit(row: Row, snippet: str, ranges: tuple[tuple[int, int], ...]) -> Hit:
    return Hit(
        chat=row["chat"],
        title=row["title"],
        entry=row["id"],
        speaker=row["speaker"],
        snippet=snippet,
        ranges=ranges,
        created=row["created"],
    )


def _unmarked(marked: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """`marked` on one line, and where its marks were."""
    text, ranges, begin = "", [], 0
    for piece in re.split(f"([{_BEGIN}{_END}])", " ".join(_plain(marked).split())):
        if piece == _BEGIN:
            begin = len(text)
        elif piece == _END:
            ranges.append((begin, len(text)))
        else:
            text += piece
    return text, tuple(ranges)


def _plain(text: str) -> str:
    """Without the marks of Markdown that stand for fences, weight and code."""
    return re.sub(r"```|\*\*|`|^#+ ", "", text, flags=re.MULTILINE)


def _around(text: str, words: list[str]) -> str:
    at = text.lower().find(words[0].lower())
    start, end = max(at - _AROUND, 0), max(at, 0) + len(words[0]) + _AROUND
    cut = " ".join(_plain(text[start:end]).split())
    return ("…" if start else "") + cut + ("…" if end < len(text) else "")


def _ranges(text: str, words: list[str]) -> tuple[tuple[int, int], ...]:
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return tuple(match.span() for match in re.finditer(pattern, text, re.IGNORECASE))


def _pattern(word: str) -> str:
    return "%" + re.sub(r"([%_\\])", r"\\\1", word) + "%"
