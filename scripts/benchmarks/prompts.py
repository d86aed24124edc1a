"""What the servers are asked: a few single questions of each kind, and many short ones for the load."""

from __future__ import annotations

import json
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_SINGLE_TOKENS, _LOAD_TOKENS = 128, 64

_SUBJECTS = (
    "a bicycle's gears", "yeast in bread dough", "a mechanical watch", "a suspension bridge", "the phases of the Moon",
    "a postal sorting office", "a heat pump", "a church organ", "rust on iron", "a chess clock", "a canal lock",
    "the echo in a valley", "a pressure cooker", "a spider's web", "a library catalogue", "a sailing boat upwind",
)  # fmt: skip
_ERRANDS = ("Tell a curious child how {} works.", "Describe {} to someone who has never seen one, in a paragraph.")

_MODULE = """
class Ledger:
    def __init__(self, owner):
        self.owner = owner
        self.entries = []

    def deposit(self, day, amount, note=""):
        if amount <= 0:
            raise ValueError("deposit something")
        self.entries.append((day, amount, note))

    def withdraw(self, day, amount, note=""):
        if amount > self.balance():
            raise ValueError("not enough left")
        self.entries.append((day, -amount, note))

    def balance(self):
        return sum(amount for _, amount, _ in self.entries)

    def statement(self):
        for day, amount, note in sorted(self.entries):
            print(day, f"{amount:+.2f}", note)
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One user message and how many tokens its answer may have."""

    id: str
    kind: str
    text: str
    max_tokens: int


def single() -> list[Case]:
    """Asked one at a time: short questions, code, and a prompt of many hundred tokens."""
    texts = {
        "short": [
            "Why do onions make people cry?",
            "Suggest five names for a small bakery by a river, each with a reason.",
            "What happens between switching on a kettle and the water boiling?",
        ],
        "code": [
            f"Here is a Python class:\n```python{_MODULE}```\nWrite it again with `deposit` called `credit`.",
            "Write a Python generator that yields the prime numbers in order, with a docstring.",
        ],
        "long": [
            f"{_logbook(24)}\nIn which weeks did the harbour see the most ships? Sum up the trend.",
            f"{_logbook(30)}\nWrite a short report to the harbour's owner about this log.",
        ],
    }
    return [
        Case(f"{kind}-{number}", kind, text, _SINGLE_TOKENS)
        for kind, several in texts.items()
        for number, text in enumerate(several)
    ]


def load() -> list[Case]:
    """Asked many at a time."""
    texts = [errand.format(subject) for errand in _ERRANDS for subject in _SUBJECTS]
    return [Case(f"load-{number}", "load", text, _LOAD_TOKENS) for number, text in enumerate(texts)]


def read(file: Path) -> list[Case]:
    """Lines of JSON with our fields, or with `messages` in place of `text`, of which the last is taken."""
    return [_case(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def _case(fields: dict[str, Any]) -> Case:
    text = fields["text"] if "text" in fields else fields["messages"][-1]["content"]
    return Case(fields["id"], fields["kind"], text, fields["max_tokens"])


def salted(cases: Seq[Case], salt: str) -> list[Case]:
    """The same cases with `salt` in front, so that a prompt cache has never seen one of them."""
    return [replace(case, text=f"[{salt}] {case.text}") for case in cases]


def shortened(cases: Seq[Case], tokens: int) -> list[Case]:
    """The same cases with answers of at most `tokens`."""
    return [replace(case, max_tokens=min(case.max_tokens, tokens)) for case in cases]


def _logbook(weeks: int) -> str:
    """A made-up log, alike on every machine."""
    winds = ("north", "south-west", "east", "west")
    lines = (
        f"Week {week}: {(week * 37 + 11) % 53} ships, wind from the {winds[week % 4]}, {(week * 13) % 29} mm of rain."
        for week in range(1, weeks + 1)
    )
    return "\n".join(("The harbour master's log:", *lines))
