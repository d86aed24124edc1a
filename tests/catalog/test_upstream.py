"""Upstreams in `models.toml`: what can be said of one, what is refused without repeating a key, and their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgellm.catalog import aliases, catalog
from edgellm.catalog.reference import HubReference, NameReference, PathReference, UpstreamReference
from edgellm.errors import ConfigError, ModelNotFound

ONE = '[upstreams.far]\nurl = "http://far.example:8000/v1"\n'


def loaded(folder: Path, text: str) -> catalog.Catalog:
    file = folder / "models.toml"
    file.write_text(text, encoding="utf-8")
    return catalog.load(catalog.shipped_file(), file)


def test_an_upstream(tmp_path: Path) -> None:
    upstream = loaded(tmp_path, ONE + 'key = "env:FAR_KEY"\ntotal_s = 60\nmodels = ["Qwen*", "one"]').upstreams["far"]
    assert (upstream.name, upstream.variable, upstream.total_s) == ("far", "FAR_KEY", 60.0)
    assert upstream.offers("qwen2.5") and upstream.offers("ONE") and not upstream.offers("two")
    assert loaded(tmp_path, ONE).upstreams["far"].offers("anything")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (ONE + 'key = "sk-123456"', "key: it says where the key is"),
        (ONE + 'key = "env:sk-123456 x"', "key: it says where the key is"),
        ('[upstreams.far]\nurl = "http://me:sk-123456@far:1/v1"', "url: it must hold no password"),
        ('[upstreams.far]\nurl = "http://far:1/v1?key=sk-123456"', "url: it must hold no password"),
        ('[upstreams.far]\nurl = "far:8000"', "url: it must be an address"),
        ('[upstreams.far]\nurl = "http://far:x/"', "url: it must be an address"),
        ('[upstreams."hf.co"]\nurl = "http://far:1"', "the model hub's own name"),
        (ONE + "first_token_s = 0", "first_token_s"),
        (ONE + "colour = 1", "colour"),
        ('[upstreams.Far]\nurl = "http://far:1"', "name"),
        ("[upstreams.far]\n", "url"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match="upstream") as caught:
        loaded(tmp_path, text)
    assert problem in str(caught.value) and "sk-123456" not in str(caught.value)


def test_names_of_its_models(tmp_path: Path) -> None:
    known = loaded(tmp_path, ONE + '[aliases]\nbig = ["far/Org/Big-70B", "smollm2"]')
    assert known.candidates("FAR/Org/Big-70B") == (UpstreamReference("far", "Org/Big-70B"),)
    assert known.candidates("far/model.gguf") == (UpstreamReference("far", "model.gguf"),)
    assert known.candidates("far/") == (UpstreamReference("far", ""),)
    assert known.candidates("big") == (UpstreamReference("far", "Org/Big-70B"), NameReference("smollm2"))
    assert isinstance(known.candidates("./far/x.gguf")[0], PathReference)
    assert isinstance(known.candidates("other/x")[0], HubReference)
    with pytest.raises(ModelNotFound, match="a model of the upstream far, of which there are no files here"):
        known.resolve("far/x")


def test_an_alias_that_is_moved_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    own = catalog.own_file()
    own.parent.mkdir(parents=True)
    own.write_text(ONE, encoding="utf-8")
    aliases.move("big", "far/Org/Big-70B", catalog.current())
    assert catalog.current().candidates("big") == (UpstreamReference("far", "Org/Big-70B"),)
    own.write_text(ONE.replace("far]", "near]") + "\n", encoding="utf-8")
    assert set(catalog.current().upstreams) == {"near"}, "what has changed is read again"
