"""Small text files of the kernel (`/proc`, `/sys`), read without raising."""

from __future__ import annotations

from pathlib import Path


def text(path: Path) -> str:
    """The stripped content; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").replace("\0", "").strip()
    except (OSError, ValueError):
        return ""


def whole(value: str | Path) -> int | None:
    """A whole number that is not negative, from a text or a file; None for anything else."""
    content = text(value) if isinstance(value, Path) else value.strip()
    return int(content) if content.isascii() and content.isdigit() and len(content) < 20 else None


def listed(content: str) -> list[int]:
    """Linux's list notation: `0-3,8` is 0, 1, 2, 3 and 8; parts that are malformed or absurdly long are left out."""
    found: list[int] = []
    for part in content.split(","):
        first, _, last = part.partition("-")
        low, high = whole(first), whole(last or first)
        if low is not None and high is not None and high - low < 2**16:
            found += range(low, high + 1)
    return found


def fields(path: Path) -> dict[str, int]:
    """Lines of a word and a whole number, as in `memory.stat`."""
    pairs = (line.split() for line in text(path).splitlines())
    numbers = ((pair[0], whole(pair[1])) for pair in pairs if len(pair) == 2)
    return {name: number for name, number in numbers if number is not None}
