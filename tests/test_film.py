"""The film of a terminal: well-formed, each row drawn once, as long as what was seen."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from rich.segment import Segment
from rich.style import Style

from scripts.recording.film import Film

SVG = "{http://www.w3.org/2000/svg}"
RED, PLAIN = Style.parse("bold #ff0000 on #101010"), Style.parse("#cccccc")


def film() -> Film:
    made = Film(4, 2, "#101010")
    first = [Segment("<b>", RED), Segment("&", PLAIN)]
    second = [Segment("äö  ", PLAIN)]
    made.add([first, second], 1.0)
    made.add([first, second], 0.5)  # nothing happened
    made.add([second, first], 2.5)
    return made


def test_screens_that_are_alike_are_one() -> None:
    assert len(film()) == 2


def test_it_is_well_formed_and_draws_each_row_once() -> None:
    tree = ElementTree.fromstring(film().svg())
    rows = tree.findall(f"./{SVG}defs/{SVG}g")
    assert ["".join(row.itertext()) for row in rows] == ["<b>&", "äö"]
    uses = [use.get("href") for use in tree.iter(f"{SVG}use")]
    assert uses == ["#r0", "#r1", "#r1", "#r0"]


def test_it_plays_as_long_as_what_was_seen() -> None:
    svg = film().svg()
    assert "animation:f 4.0s" in svg
    assert re.findall(r"([\d.]+)%\{transform", svg) == ["0.000", "37.500"]
