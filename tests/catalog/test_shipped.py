"""The shipped models.toml: every entry says where it was read, and keeps its promises to the others."""

from __future__ import annotations

import re

import pytest

from edgellm.catalog import catalog
from edgellm.catalog.entry import Entry
from edgellm.catalog.sources import HubSource, PackageSource

ENTRIES = list(catalog.shipped().entries.values())
EVERY = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


def test_there_is_something_for_every_size_and_use() -> None:
    sizes = [entry.parameters for entry in ENTRIES]
    assert min(sizes) < 200e6 and max(sizes) > 30e9
    assert {skill for entry in ENTRIES for skill in entry.good_for} == {
        "chat", "code", "fim", "tools", "embeddings", "rerank", "draft"
    }  # fmt: skip
    formats = {source.format for entry in ENTRIES for source in entry.sources if isinstance(source, HubSource)}
    assert formats == {"gguf", "mlx", "onnx"}


@EVERY
def test_every_entry_says_where_it_was_read(entry: Entry) -> None:
    assert entry.facts and len(set(entry.facts)) == len(entry.facts)
    assert entry.good_for and entry.license and entry.context


@EVERY
def test_the_usual_quantization_is_one_that_the_first_repository_is_known_to_have(entry: Entry) -> None:
    of_hub = [source for source in entry.sources if isinstance(source, HubSource)]
    assert of_hub and all(source.quantizations for source in of_hub)
    if not any(isinstance(source, PackageSource) for source in entry.sources):
        assert entry.quantization == of_hub[0].quantizations[0]


@EVERY
def test_parameters_are_those_of_the_name(entry: Entry) -> None:
    named = re.search(r"-([0-9.]+)([bm])(?:-|$)", entry.name)
    if named:
        said = float(named[1]) * {"b": 1e9, "m": 1e6}[named[2]]
        assert said * 0.9 < entry.parameters < said * 1.25


@EVERY
def test_every_source_can_be_asked_for(entry: Entry) -> None:
    asked = {source for quantization in entry.quantizations for source in entry.at(quantization).sources}
    assert asked == set(entry.sources)
    assert entry.at().quantization == entry.quantization == entry.quantizations[0]


@EVERY
def test_a_draft_is_a_smaller_model_of_the_family(entry: Entry) -> None:
    if entry.draft is not None:
        partner = catalog.shipped().entries[entry.draft]
        assert partner.family == entry.family and partner.parameters * 2 < entry.parameters
        assert "draft" in partner.good_for


def test_only_the_starter_comes_in_packages() -> None:
    packaged = [e.name for e in ENTRIES if any(isinstance(source, PackageSource) for source in e.sources)]
    assert packaged == ["smollm2"]


@pytest.mark.parametrize(
    ("alias", "skill"),
    [
        ("default", "chat"),
        ("default-fast", "chat"),
        ("default-smart", "chat"),
        ("code", "code"),
        ("code-fast", "code"),
        ("embed", "embeddings"),
    ],
)
def test_aliases_mean_models_that_are_good_at_it_and_end_small(alias: str, skill: str) -> None:
    entries = [catalog.shipped().target(reference) for reference in catalog.shipped().candidates(alias)]
    assert all(isinstance(entry, Entry) and skill in entry.good_for for entry in entries)
    assert isinstance(entries[-1], Entry) and entries[-1].parameters < 2e9
