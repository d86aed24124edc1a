"""Tools whose parameters have every kind of schema, and things to say that call for each."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any, NamedTuple


def tool(name: str, description: str, properties: dict[str, Any], required: list[str], **more: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": required, **more}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TEXT: dict[str, Any] = {"type": "string"}
TREE = {
    "node": {
        "type": "object",
        "properties": {
            "name": TEXT,
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
}
PLACE = {
    "type": "object",
    "properties": {"street": TEXT, "city": TEXT, "country": {"enum": ["CH", "DE", "AT"]}},
    "required": ["city", "country"],
    "additionalProperties": False,
}

# A tool, and what somebody says who needs it.
KINDS: tuple[tuple[dict[str, Any], tuple[str, ...]], ...] = (
    (
        tool(
            "get_weather",
            "The weather of a city.",
            {"city": TEXT, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
            ["city"],
        ),
        ("What is the weather in {city}?", "Is it warm in {city} today? In celsius, please."),
    ),
    (
        tool("add", "Adds two numbers.", {"a": {"type": "number"}, "b": {"type": "number"}}, ["a", "b"]),
        ("Add {n} and 17.5.", "What is {n} plus {n}?"),
    ),
    (
        tool(
            "create_event",
            "Puts an event into the calendar.",
            {
                "title": {"type": "string", "minLength": 1, "maxLength": 60},
                "date": {"type": "string", "format": "date"},
                "minutes": {"type": "integer", "minimum": 5, "maximum": 480},
                "private": {"type": "boolean"},
            },
            ["title", "date", "minutes"],
        ),
        ("Plan a meeting of {n} minutes on 2025-03-0{d} in {city}.", "Put lunch with Ada on 2025-04-1{d}, one hour."),
    ),
    (
        tool(
            "send_mail",
            "Sends a mail.",
            {
                "to": {"type": "array", "items": {"type": "string", "format": "email"}, "minItems": 1, "maxItems": 3},
                "subject": {"type": "string", "maxLength": 80},
                "body": {"type": "string", "maxLength": 200},
            },
            ["to", "subject", "body"],
        ),
        ("Write to ada@example.org that I am in {city}.", 'Mail bob@example.org: the "{n}" is done.'),
    ),
    (
        tool("move_to", "Notes a change of address.", {"person": TEXT, "address": PLACE}, ["person", "address"]),
        ("Ada moved to {city} in Germany.", "Bob lives at 5 Main Street in {city}, Switzerland, now."),
    ),
    (
        tool(
            "search",
            "Searches the archive.",
            {
                "query": TEXT,
                "limit": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 100}, {"type": "null"}]},
                "sort": {"oneOf": [{"const": "newest"}, {"const": "best"}]},
            },
            ["query", "limit", "sort"],
        ),
        ("Find the {n} newest notes on {city}.", "Search for C:\\temp\\{city} and show the best."),
    ),
    (
        tool("set_code", "Sets a lock's code.", {"code": {"type": "string", "pattern": "^[0-9]{4}-[A-F]$"}}, ["code"]),
        ("Set the code to 123{d}-A.", "Lock it with 999{d}-F."),
    ),
    (
        tool(
            "save_outline",
            "Saves an outline as a tree.",
            {"root": {"$ref": "#/$defs/node"}},
            ["root"],
            **{"$defs": TREE},
        ),
        ("Save an outline: {city}, with the children 'food' and 'art'.", "Save the outline 'plan' without children."),
    ),
    (
        tool("run_code", "Runs Python.", {"code": TEXT, "timeout": {"type": "integer"}}, ["code"]),
        ("Run a loop that prints 0 to {d}, each with quotes around it.", "Run: print('<tool_call>')"),
    ),
    (tool("now", "The time.", {}, []), ("What time is it?", "What time is it in {city}?")),
    (
        tool(
            "set_labels",
            "Sets labels by name.",
            {"labels": {"type": "object", "additionalProperties": TEXT, "maxProperties": 3}},
            ["labels"],
        ),
        ("Label it: owner is Ada, city is {city}.", "Set the label size to {n}."),
    ),
    (
        tool("größe_ändern", "Ändert die Größe.", {"größe": {"type": "integer", "enum": [1, 2, 3]}}, ["größe"]),
        ("Ändere die Größe auf {d}.", "Mach es größer."),
    ),
)
CITIES = ("Bern", "Zürich", "Wien", "Köln", "São Paulo", "東京")


class Case(NamedTuple):
    """`wanted` is the tool the words call for; `tools` has it among others."""

    words: str
    wanted: dict[str, Any]
    tools: list[dict[str, Any]]


def cases(count: int, seed: int = 0) -> Iterator[Case]:
    """The same ones each time."""
    draw = random.Random(seed)
    for (wanted, said), _ in zip(itertools.cycle(KINDS), range(count), strict=False):
        others = [each for each, _ in KINDS if each is not wanted]
        tools = [wanted, *draw.sample(others, draw.randrange(0, 6))]
        draw.shuffle(tools)
        words = draw.choice(said).format(city=draw.choice(CITIES), n=draw.randrange(10, 90), d=draw.randrange(1, 4))
        yield Case(words, wanted, tools)
