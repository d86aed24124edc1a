"""Sixty JSON schemas of the kinds that people send, each with a question; the first twenty are one of each kind."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def record(required: tuple[str, ...] | None = None, **properties: Schema) -> Schema:
    needed = list(properties if required is None else required)
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def words(most: int = 40, **more: Any) -> Schema:
    return {"type": "string", "maxLength": most, **more}


def number(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def several(items: Schema, most: int = 3, least: int = 1) -> Schema:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


NAME, AGE = words(30), number(0, 120)
TREE = {
    "$defs": {"leaf": record(name=NAME), "node": record(name=NAME, parts=several({"$ref": "#/$defs/leaf"}))},
    "$ref": "#/$defs/node",
}
CHAIN = {
    "$defs": {
        "step": record(do=words(20), then={"anyOf": [{"type": "null"}, {"$ref": "#/$defs/last"}]}),
        "last": record(do=words(20)),
    },
    "$ref": "#/$defs/step",
}
SELF = {
    "type": "object",
    "properties": {"id": number(1, 9), "left": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    "required": ["id"],
    "additionalProperties": False,
}
KINDS: tuple[tuple[str, Schema], ...] = (
    ("Invent a person.", record(name=NAME, age=AGE)),
    ("Is the sky green?", record(answer={"type": "boolean"}, why=words())),
    ("How does this sound: 'I love it'?", record(mood={"enum": ["good", "bad", "neutral"]}, sure=number(0, 100))),
    ("Describe a shop's order.", record(order=record(number=number(1, 9999), buyer=record(name=NAME, town=words(20))))),
    ("Name some colors.", record(colors=several({"enum": ["red", "green", "blue", "black"]}, 4, 2))),
    ("Give a phone number.", record(phone={"type": "string", "pattern": r"^\+[0-9]{2}-[0-9]{3}-[0-9]{4}$"})),
    ("When was the moon landing?", record(day={"type": "string", "format": "date"})),
    ("When does the train leave?", record(leaves={"type": "string", "format": "date-time"})),
    ("Which address has the server?", record(ip={"type": "string", "format": "ipv4"}, port=number(1, 65535))),
    ("Make up an identifier.", record(id={"type": "string", "format": "uuid"})),
    ("Write a number or a word.", record(value={"anyOf": [number(0, 99), words(10)]})),
    (
        "Pay by card or cash?",
        {"anyOf": [record(cash=number(1, 50)), record(card={"type": "string", "pattern": "^[0-9]{4}$"})]},
    ),
    ("Is anybody there?", record(who={"type": ["string", "null"], "maxLength": 20}, there={"type": "boolean"})),
    ("Split a car into parts.", TREE),
    ("How do I make tea?", CHAIN),
    ("Draw a small tree.", SELF),
    (
        "Where is Paris?",
        {"type": "array", "prefixItems": [number(0, 90), number(0, 90)], "items": False, "minItems": 2},
    ),
    (
        "Name two cities and their people.",
        {"type": "object", "additionalProperties": number(0, 10**8), "minProperties": 2, "maxProperties": 2},
    ),
    ("Tell me about a dog.", record(("kind",), kind={"const": "dog"}, name=words(15), age=number(0, 20))),
    (
        "How warm is it?",
        record(
            celsius={"type": "number", "minimum": -50, "maximum": 50},
            steps={"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 100},
        ),
    ),
)


def _in_list(question: str, schema: Schema) -> tuple[str, Schema]:
    shared = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    return f"{question} Give two answers.", shared | record(answers=several(_placed(schema, "answers"), 2))


def _beside(question: str, schema: Schema) -> tuple[str, Schema]:
    shared = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    note = words(60, pattern="^[A-Z][a-z ]*[.]$")
    return f"{question} Add a note.", shared | record(
        result=_placed(schema, "result"), note=note, tag={"enum": [1, "a", None]}
    )


def _placed(schema: Schema, name: str) -> Schema:
    """`schema` as a part of another: what refers to its root would lead elsewhere there."""
    if schema is SELF:
        return record(id=number(1, 9), left={"type": "null"})
    return {key: value for key, value in schema.items() if key != "$defs"}


CASES = KINDS + tuple(_in_list(*case) for case in KINDS) + tuple(_beside(*case) for case in KINDS)
