"""Headers of well-known models: as many parameters as their makers say, and sums done by hand."""

import pytest

from edgellm.catalog.metadata import ModelFacts, facts
from edgellm.config import ModelSettings
from edgellm.fit.memory import kv_bytes, memory, state_bytes
from edgellm.fit.placement import Placement
from edgellm.fit.plan import plan
from tests.fit import examples, headers


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFacts]:
    folder = tmp_path_factory.mktemp("headers")
    return {name: facts(headers.write(name, folder)) for name in headers.MODELS}


@pytest.mark.parametrize("name", headers.MODELS)
def test_the_header_has_the_published_parameters(models: dict[str, ModelFacts], name: str) -> None:
    assert models[name].parameters == pytest.approx(headers.MODELS[name].parameters, rel=0.01)
    assert len(models[name].layers) == headers.MODELS[name].layers


def test_a_dense_model_by_hand(models: dict[str, ModelFacts]) -> None:
    llama = models["Llama 3.3 70B"]
    # 80 layers x 2 x 8 heads x 128 x 2 bytes = 327,680 bytes a token
    assert kv_bytes(llama, Placement(context=8192), llama.layers) == 327_680 * 8192
    layer = (8192 * (8192 + 1024 + 1024 + 8192 + 3 * 28672)) * 144 // 256 + 8192 * 4
    assert all(each.weights == layer for each in llama.layers)
    table = 128256 * 8192
    assert llama.weight_bytes == 80 * layer + table * 144 // 256 + table * 210 // 256


def test_a_mixture_by_hand(models: dict[str, ModelFacts]) -> None:
    qwen = models["Qwen3 30B-A3B"]
    experts = 3 * 128 * 768 * 2048 * 144 // 256
    assert all(layer.experts == experts for layer in qwen.layers)
    # 48 layers x 2 x 4 heads x 128 x 2 bytes = 98,304 bytes a token
    assert kv_bytes(qwen, Placement(context=32768), qwen.layers) == 98_304 * 32768
    placed = Placement(context=8192, gpu_layers=49, cpu_experts=True)
    assert memory(qwen, placed).weights == qwen.weight_bytes - (
        qwen.output_bytes + sum(layer.weights for layer in qwen.layers) - 48 * experts
    )


def test_a_hybrid_by_hand(models: dict[str, ModelFacts]) -> None:
    hybrid = models["Qwen3-Next 80B-A3B"]
    # 36 layers with 3 x 8192 of convolution and 128 x 4096 of state, 12 with KV of 2 x 2 heads x 256
    assert state_bytes(Placement(context=256, slots=1), hybrid.layers) == 36 * 4 * (3 * 8192 + 128 * 4096)
    assert kv_bytes(hybrid, Placement(context=8192), hybrid.layers) == 12 * 2 * 512 * 2 * 8192


def test_a_small_machine_takes_what_it_can(models: dict[str, ModelFacts]) -> None:
    machine = examples.machine(24)
    verdicts = {name: plan(model, machine, ModelSettings()).verdict for name, model in models.items()}
    assert verdicts["Llama 3.3 70B"] == verdicts["Mixtral 8x7B"] == "no"
    assert verdicts["LFM2 1.2B"] == verdicts["Phi-4"] == "fits"
