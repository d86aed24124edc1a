"""Loading as planned: what is completed, what is refused before anything is loaded, and what is remembered."""

from pathlib import Path

import msgspec
import pytest

from edgellm.config import ModelSettings, Settings
from edgellm.errors import NotEnoughMemory, details, from_code
from edgellm.fit.memory import HOST_BYTES
from edgellm.runtime import known_facts
from edgellm.runtime.planned import planned
from tests import tiny_model
from tests.fit import examples


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_model.build(tmp_path)


def test_the_context_comes_from_the_header(tiny: Path) -> None:
    found = planned(tiny, "tiny", Settings(), examples.machine(), ModelSettings())
    assert found is not None and found.settings == ModelSettings(context=2048)
    given = ModelSettings(context=512, slots=3)
    kept = planned(tiny, "tiny", Settings(), examples.machine(), given)
    assert kept is not None and kept.settings == given


def test_what_does_not_fit_is_refused_with_what_would(tiny: Path) -> None:
    machine = examples.machine((HOST_BYTES + (40 << 20)) / 1e9)
    with pytest.raises(NotEnoughMemory, match="--context") as caught:
        planned(tiny, "tiny", Settings(), machine, ModelSettings(context=2**20))
    assert caught.value.needed > caught.value.available == machine.usable_memory
    again = from_code("not_enough_memory", "m", details(caught.value))
    assert isinstance(again, NotEnoughMemory) and again.needed == caught.value.needed


def test_the_user_may_try_all_the_same(tiny: Path) -> None:
    machine = examples.machine(0.01)
    found = planned(tiny, "tiny", Settings(memory_check=False), machine, ModelSettings(context=4096))
    assert found is not None and found.plan.verdict == "no" and found.settings.context == 4096


def test_a_file_that_is_no_model_is_left_to_who_loads_it(tmp_path: Path) -> None:
    file = tmp_path / "no.gguf"
    file.write_bytes(b"GGUF but nothing else")
    assert planned(file, "no", Settings(), examples.machine(), ModelSettings()) is None
    assert planned(tmp_path / "nowhere.gguf", "no", Settings(), examples.machine(), ModelSettings()) is None


def test_facts_are_read_once(tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = known_facts.facts_of(tiny)
    with monkeypatch.context() as patched:
        patched.setattr(known_facts, "facts", None)
        assert known_facts.facts_of(tiny) == first
    (kept,) = (home / "cache" / "facts").iterdir()
    kept.write_bytes(b"damaged")
    assert known_facts.facts_of(tiny) == first
    assert msgspec.json.decode(kept.read_bytes())["architecture"] == "llama"


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = tiny_model.build(tmp_path)
    before = known_facts.facts_of(path)
    other = tiny_model.build(tmp_path, layers=3)
    path.write_bytes(other.read_bytes())
    assert len(known_facts.facts_of(path).layers) == 3 != len(before.layers)
