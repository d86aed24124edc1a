"""What the benchmark asks: requests of kinds that differ in how well an answer can be guessed ahead."""

from __future__ import annotations

from dataclasses import dataclass

from edgellm.messages import user
from edgellm.request import GREEDY, ChatRequest, Conversation, Speculation


@dataclass(frozen=True, slots=True)
class Case:
    """One question; `tokens` is the longest answer."""

    kind: str
    question: str
    tokens: int

    def request(self, speculation: Speculation, salt: str) -> ChatRequest:
        """`salt` goes in front, so that no cache knows the prompt from an earlier run."""
        conversation = Conversation((user(f"[{salt}] {self.question}"),))
        return ChatRequest(input=conversation, sampling=GREEDY, max_tokens=self.tokens, speculation=speculation)


_PROGRAM = """\
import csv
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Reading:
    station: str
    day: str
    celsius: float


class Archive:
    def __init__(self, path):
        self.path = Path(path)
        self.readings = []

    def load(self):
        with self.path.open() as file:
            for row in csv.DictReader(file):
                self.readings.append(Reading(row["station"], row["day"], float(row["celsius"])))
        return len(self.readings)

    def of_station(self, station):
        return [reading for reading in self.readings if reading.station == station]

    def mean(self, station):
        found = self.of_station(station)
        if not found:
            return None
        return sum(reading.celsius for reading in found) / len(found)

    def warmest(self, station):
        found = self.of_station(station)
        return max(found, key=lambda reading: reading.celsius, default=None)

    def coldest(self, station):
        found = self.of_station(station)
        return min(found, key=lambda reading: reading.celsius, default=None)

    def save(self, path):
        with Path(path).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["station", "day", "celsius"])
            for reading in self.readings:
                writer.writerow([reading.station, reading.day, reading.celsius])


def report(archive, stations):
    for station in stations:
        mean = archive.mean(station)
        if mean is None:
            print(f"{station}: no readings")
        else:
            print(f"{station}: {mean:.1f} degrees on average")
"""

_ORDERS = (
    "[\n"
    + ",\n".join(
        f'  {{"id": {4100 + 7 * i}, "customer": "{name}", "item": "{item}", "count": {1 + i % 4}, "paid": {paid}}}'
        for i, (name, item, paid) in enumerate(
            (
                ("Aalto", "desk lamp", "true"),
                ("Brandt", "bookshelf", "false"),
                ("Castro", "office chair", "true"),
                ("Dubois", "standing desk", "true"),
                ("Eriksen", "whiteboard", "false"),
                ("Farkas", "filing cabinet", "true"),
                ("Grant", "coat rack", "true"),
                ("Haddad", "footrest", "false"),
            )
        )
    )
    + "\n]"
)

_LETTER = (
    "The tram line to the harbour will be closed from 3 to 17 March while the bridge over the canal is repaired. "
    "Buses numbered 48 and 52 replace it and leave from the square every ten minutes between five in the morning and "
    "midnight. Tickets for the tram are valid on both buses. Bicycles cannot be taken on the buses; a free ferry for "
    "people with bicycles crosses the canal every half hour from the old customs house. The museum stop is not served."
)

CASES = (
    Case("edit", f"Rename the method `mean` to `average` everywhere in this file. Answer with the whole file and "
         f"nothing else.\n```python\n{_PROGRAM}```", 460),
    Case("edit", f"Add a type hint to every parameter and return value in this file. Answer with the whole file and "
         f"nothing else.\n```python\n{_PROGRAM}```", 460),
    Case("copy", f"Rename the field `count` to `number` in every record. Answer with the JSON alone.\n{_ORDERS}", 330),
    Case("copy", f"Answer with this JSON sorted by `id` from high to low, and nothing else.\n{_ORDERS}", 330),
    Case("quote", f"{_LETTER}\n\nQuote every sentence of this notice that matters to somebody with a bicycle.", 110),
    Case("quote", f"{_LETTER}\n\nWhich buses replace the tram, when do they run, and which tickets are valid?", 110),
    Case("code", "Write a Python class for a priority queue with push, pop and peek, on top of heapq. Code only.", 150),
    Case("code", "Write a Python function that parses durations such as 1h30m into seconds. Code only.", 150),
    Case("explain", "Explain in a few sentences how a bicycle stays upright.", 110),
    Case("explain", "What happens between typing an address into a browser and seeing the page?", 110),
    Case("story", "Write the beginning of a story about a lighthouse keeper who collects lost sounds.", 110),
    Case("story", "Write a poem about the last train of the night.", 110),
)  # fmt: skip
KINDS = tuple(dict.fromkeys(case.kind for case in CASES))


def chosen(quick: bool) -> tuple[Case, ...]:
    """All, or the first of each kind."""
    return tuple(next(case for case in CASES if case.kind == kind) for kind in KINDS) if quick else CASES


PROSE = (
    "A river does not hurry through its valley, and those who live beside it learn to measure time by what it carries: "
    "branches after a storm, boats in summer, the smell of wet stone in autumn. "
)
"""What prompts of a given length are made of."""
