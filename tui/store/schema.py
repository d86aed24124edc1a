"""The database's history: the statements that make each version from the one before; old steps are never edited."""

from __future__ import annotations

# AUTOINCREMENT: a search index entry that outlives its message must never point at another one.
_CONVERSATIONS = (
    """CREATE TABLE chats (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        title TEXT NOT NULL DEFAULT '',
        title_source TEXT NOT NULL DEFAULT 'first words',
        created REAL NOT NULL,
        updated REAL NOT NULL,
        leaf INTEGER REFERENCES entries(id) ON DELETE SET NULL,
        pinned INTEGER NOT NULL DEFAULT 0,
        deleted REAL,
        model TEXT NOT NULL DEFAULT '',
        options TEXT NOT NULL DEFAULT '{}'
    )""",
    """CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        chat INTEGER NOT NULL REFERENCES chats(id) ON DELETE CASCADE,
        parent INTEGER REFERENCES entries(id) ON DELETE CASCADE,
        speaker TEXT NOT NULL,
        text TEXT NOT NULL DEFAULT '',
        reasoning TEXT NOT NULL DEFAULT '',
        calls TEXT NOT NULL DEFAULT '[]',
        results TEXT NOT NULL DEFAULT '[]',
        state TEXT NOT NULL DEFAULT 'complete',
        reason TEXT NOT NULL DEFAULT '',
        error TEXT NOT NULL DEFAULT '',
        model TEXT NOT NULL DEFAULT '',
        usage TEXT,
        timings TEXT,
        thought_s REAL NOT NULL DEFAULT 0,
        first_s REAL NOT NULL DEFAULT 0,
        left_out INTEGER NOT NULL DEFAULT 0,
        created REAL NOT NULL,
        updated REAL NOT NULL,
        owner TEXT NOT NULL DEFAULT '',
        left_at INTEGER REFERENCES entries(id) ON DELETE SET NULL,
        indexed INTEGER NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX entries_by_parent ON entries (chat, parent, id)",
    "CREATE INDEX entries_by_parent_alone ON entries (parent)",  # for ON DELETE CASCADE
    "CREATE INDEX entries_left_at ON entries (left_at) WHERE left_at IS NOT NULL",
    "CREATE INDEX entries_to_index ON entries (id) WHERE indexed = 0",
    "CREATE INDEX entries_streaming ON entries (id) WHERE state = 'streaming'",
    "CREATE INDEX chats_by_leaf ON chats (leaf)",
    """CREATE TABLE attachments (
        id INTEGER PRIMARY KEY,
        entry INTEGER NOT NULL REFERENCES entries(id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        tokens INTEGER
    )""",
    "CREATE INDEX attachments_by_entry ON attachments (entry)",
)

_PROMPTS = (
    # chat NULL: the words typed for a conversation that does not exist yet
    """CREATE TABLE drafts (
        chat INTEGER UNIQUE REFERENCES chats(id) ON DELETE CASCADE,
        text TEXT NOT NULL,
        saved REAL NOT NULL
    )""",
    "CREATE TABLE history (id INTEGER PRIMARY KEY, text TEXT NOT NULL, created REAL NOT NULL)",
    "CREATE TABLE presets (name TEXT PRIMARY KEY, options TEXT NOT NULL)",
    "CREATE TABLE preferences (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
)

_CUTS = (
    """CREATE TABLE cuts (
        id INTEGER PRIMARY KEY,
        first INTEGER NOT NULL REFERENCES entries(id) ON DELETE CASCADE,
        summary TEXT NOT NULL DEFAULT '',
        created REAL NOT NULL
    )""",
    "CREATE INDEX cuts_by_first ON cuts (first)",
)

STEPS: tuple[tuple[str, ...], ...] = (_CONVERSATIONS, _PROMPTS, _CUTS)
VERSION = len(STEPS)
