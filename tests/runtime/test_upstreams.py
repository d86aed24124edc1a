"""Upstreams at run time: keys, who answers, which model is meant, what is opened, and who has what does not fit."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from edgellm.catalog import catalog
from edgellm.catalog.reference import UpstreamReference
from edgellm.catalog.upstream import Upstream
from edgellm.config import Settings
from edgellm.errors import ConfigError, EdgeLLMError, ModelNotFound, NotEnoughMemory, Offline, UpstreamFailed
from edgellm.events import Started
from edgellm.model import ModelInfo
from edgellm.remote.listing import Listing
from edgellm.request import SamplingParams, ask
from edgellm.runtime import assemble, upstream_key, upstreams
from edgellm.runtime.upstream_lookout import Lookout
from edgellm.runtime.upstream_model import UpstreamModel, opened, shown
from edgellm.runtime.upstream_twins import twin
from tests.doubles import gguf_file
from tests.doubles.vllm_server import NAME, VllmServer, vllm_server

FAR = Upstream(name="far", url="http://192.0.2.1:8000/v1")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    catalog.own_file().parent.mkdir(parents=True)
    return tmp_path


def write(text: str) -> None:
    catalog.own_file().write_text(text, encoding="utf-8")


def listing(*names: str, owner: str = "vllm") -> Listing:
    return Listing(tuple({"id": name, "owned_by": owner} for name in names), "vllm", 0.001)


def asking(*answers: Listing | EdgeLLMError | threading.Event) -> Lookout:
    """A lookout that hears these answers, one after the other; an event is waited for, then nothing is there."""
    left = iter(answers)

    def ask(*_: object) -> Listing:
        answer = next(left)
        if isinstance(answer, threading.Event):
            answer.wait(20)
            raise UpstreamFailed("gone")
        if isinstance(answer, EdgeLLMError):
            raise answer
        return answer

    return Lookout(Settings(upstream_wait=0.2 if any(isinstance(a, threading.Event) for a in answers) else 20.0), ask)


def test_a_key_of_the_environment() -> None:
    upstream = Upstream(name="far", url=FAR.url, key="env:FAR_KEY")
    assert upstream_key.key_of(upstream, {"FAR_KEY": " secret\n"}) == "secret"
    assert upstream_key.key_of(FAR, {}) == ""
    with pytest.raises(ConfigError, match="from FAR_KEY, which is not set"):
        upstream_key.key_of(upstream, {"FAR_KEY": " "})
    assert "FAR_KEY" in upstream_key.advice(upstream) and "models.toml" in upstream_key.advice(FAR)


def test_a_key_of_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring")
    from keyring.backend import KeyringBackend
    from keyring.errors import KeyringLocked

    class Ring(KeyringBackend):
        priority = 1  # type: ignore[assignment]
        locked = False

        def __init__(self) -> None:
            super().__init__()
            self.kept: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            if self.locked:
                raise KeyringLocked("locked: secret")
            return self.kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.kept[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del self.kept[service, username]

    before, ring = keyring.get_keyring(), Ring()
    keyring.set_keyring(ring)
    try:
        upstream = Upstream(name="far", url=FAR.url, key="keyring")
        with pytest.raises(ConfigError, match="keyring set edgellm far"):
            upstream_key.key_of(upstream)
        keyring.set_password("edgellm", "far", "secret")
        assert upstream_key.key_of(upstream) == "secret"
        ring.locked = True
        with pytest.raises(ConfigError, match=r"KeyringLocked.*Unlock") as caught:
            upstream_key.key_of(upstream)
        assert "secret" not in str(caught.value)
        monkeypatch.setitem(sys.modules, "keyring", None)
        with pytest.raises(ConfigError, match=r"edgellm\[keyring\]"):
            upstream_key.key_of(upstream)
    finally:
        keyring.set_keyring(before)


def test_one_that_answers() -> None:
    limited = Upstream(name="far", url=FAR.url, models=("qwen*",))
    (seen,) = asking(listing("Org/Qwen-7B", "/data/qwen-1b", "llama")).look([limited])
    assert seen.answers and not seen.problem and [each.name for each in seen.models] == ["/data/qwen-1b"]
    (seen,) = asking(listing("Org/Qwen-7B", "/data/qwen-1b")).look([FAR])
    assert seen.named("qwen-7b") == seen.models[0] and seen.named("QWEN-1B") == seen.models[1]
    assert seen.named("") is None and seen.named("qwen") is None


def test_what_was_seen_is_remembered_and_a_failure_keeps_the_models() -> None:
    lookout = asking(listing("a"))
    assert lookout.look([FAR]) == lookout.look([FAR]), "it would have had no second answer"
    lookout = asking(UpstreamFailed("Cannot reach it."), listing("a"))
    (first,) = lookout.look([FAR])
    assert (first.state, first.problem, first.models) == ("silent", "Cannot reach it.", ())


def test_nobody_waits_for_one_that_says_nothing() -> None:
    over = threading.Event()
    lookout = asking(over)
    known = Upstream(name="far", url=FAR.url, models=("one", "two*"))
    (seen,) = lookout.look([known])
    assert seen.state == "silent" and "has not answered within 0.2 s" in seen.problem
    assert [each.name for each in seen.models] == ["one"]
    over.set()


def test_offline_and_without_waiting() -> None:
    (seen,) = Lookout(Settings(offline=True), ask=None).look([FAR])  # type: ignore[arg-type]
    assert seen.state == "offline" and "offline setting forbids" in seen.problem
    assert Lookout(Settings(upstream_wait=0)).look([FAR]) == ()
    with pytest.raises(Offline):
        opened(UpstreamReference("far", "x"), FAR, Settings(offline=True))
    opened(UpstreamReference("far", "x"), Upstream(name="far", url="http://localhost:1"), Settings(offline=True))


def test_one_without_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAR_KEY", raising=False)
    (seen,) = asking().look([Upstream(name="far", url=FAR.url, key="env:FAR_KEY")])
    assert seen.state == "no key" and "FAR_KEY" in seen.problem


def test_which_model_is_meant() -> None:
    write('[upstreams.far]\nurl = "http://192.0.2.1:1"\n[aliases]\nbig = ["far/Big", "smollm2"]\n')
    settings = Settings()
    assert upstreams.meant("far/x", settings) == UpstreamReference("far", "x")
    for name in ("smollm2", "nobody", "./far/x", "not a name!"):
        assert upstreams.meant(name, settings) is None
    assert upstreams.meant("big", settings, asking(listing("Org/big"))) == UpstreamReference("far", "Big")
    assert upstreams.meant("big", settings, asking(listing("Org/other"))) is None
    assert upstreams.meant("big", settings, asking(UpstreamFailed("gone"))) is None


def test_the_only_model_need_not_be_named() -> None:
    write('[upstreams.far]\nurl = "http://192.0.2.1:1"\nmodels = ["a*"]\n[aliases]\nmine = ["far/"]\n')
    for name in ("far/", "mine"):
        lookout = asking(listing("/data/a1", "b"))
        assert upstreams.meant(name, Settings(), lookout) == UpstreamReference("far", "a1")
    with pytest.raises(ModelNotFound, match="but these: a1, a2"):
        upstreams.meant("far/", Settings(), asking(listing("a1", "a2")))
    silent = asking(UpstreamFailed("gone"))
    assert upstreams.meant("far/", Settings(), silent) == UpstreamReference("far", ""), "who asks it hears why"


def test_without_upstreams_nothing_is_asked() -> None:
    assert upstreams.meant("far/x", Settings()) is None and upstreams.seen(Settings()) == ()


@pytest.mark.parametrize(
    ("name", "there", "same"),
    [
        ("qwen2.5-coder-7b", "Qwen/Qwen2.5-Coder-7B-Instruct", True),
        ("qwen2.5-coder-7b", "Qwen/Qwen2.5-Coder-7B-Instruct-AWQ", True),
        ("qwen2.5-coder-7b", "Qwen/Qwen2.5-Coder-7B", False),  # the base model
        ("qwen2.5-coder-7b", "qwen2.5-coder:7b", True),
        ("qwen2.5-coder-7b", "/models/Qwen2.5-Coder-7B-Instruct-Q8_0.gguf", True),
        ("qwen2.5-coder-7b", "Qwen/Qwen2.5-Coder-14B-Instruct", False),
        ("bartowski/Some-70B-GGUF:Q4_K_M", "someone/Some-70B-FP8", True),
        ("Some-70B-Q4_K_M", "someone/Some-70B", True),
        ("Some-70B-Q4_K_M", "someone/Some-7B", False),
    ],
)
def test_the_same_weights_by_other_names(name: str, there: str, same: bool) -> None:
    entry = catalog.current().named(name.partition(":")[0])
    assert (twin(name, entry, [there]) == there) is same


def test_what_does_not_fit_is_offered_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with vllm_server(names=("someone/Some-70B-Instruct",)) as double:
        write(f'[upstreams.far]\nurl = "{double.url}"\n')
        file = gguf_file.write(home / "Some-70B-Instruct-Q4_K_M.gguf", {"general.architecture": "llama"}, {})

        def too_large(*_: object) -> None:
            raise NotEnoughMemory("It needs 40 GB, and 5 GB are free.", 40, 5)

        monkeypatch.setattr(assemble, "open_located", too_large)
        with pytest.raises(NotEnoughMemory, match="`edgellm run -m far/someone/Some-70B-Instruct`") as caught:
            assemble.open_model(str(file), Settings())
        assert (caught.value.needed, caught.value.available) == (40, 5)
        assert upstreams.having("qwen2.5-coder-7b", Settings()) == ""


@pytest.fixture
def double() -> VllmServer:  # type: ignore[misc]
    with vllm_server(key="good") as double:
        yield double


async def test_a_model_is_opened_by_its_name(double: VllmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", "good")
    write(f'[upstreams.far]\nurl = "{double.url}"\nkey = "env:FAR_KEY"\n')
    model = assemble.open_model("far/smollm2-135m-instruct", Settings(speculation="draft"))
    assert isinstance(model, UpstreamModel) and model.info.backend == "upstream"
    events = [event async for event in model.stream(ask("hi", speculation="draft"))]
    assert model.info.name == f"far/{NAME}" and model.info.context_length > 0
    assert model.info.sampling == SamplingParams(temperature=0.2, top_p=0.9), "of the same model in the catalog"
    assert isinstance(events[0], Started) and "speculation is up to the upstream" in events[0].warnings[0]
    assert double.bodies[0]["model"] == NAME and "speculation" not in double.bodies[0]
    assert (await model.status()).speculation.reason
    await model.aclose()


async def test_a_model_that_is_not_offered(double: VllmServer) -> None:
    limited = Upstream(name="far", url=double.url, models=("one",))
    with pytest.raises(ModelNotFound, match="does not offer 'two'"):
        opened(UpstreamReference("far", "two"), limited, Settings())
    double.key = ""
    model = opened(UpstreamReference("far", NAME), Upstream(name="far", url=double.url, models=("qwen*",)), Settings())
    with pytest.raises(ModelNotFound, match="does not offer"):
        await model.start()
    await model.aclose()


def test_how_servers_that_know_less_are_asked() -> None:
    plain = shown(FAR, ModelInfo(name="gpt-x"), "other")
    assert (plain.sampling.top_k, plain.sampling.min_p, plain.name) == (0, 0.0, "far/gpt-x")
    known = ModelInfo(name="x", sampling=SamplingParams(temperature=0.1))
    assert shown(FAR, known, "edgellm").sampling == known.sampling
