"""Which library a model on this machine is loaded with: the one of its format, of two for GGUF files the better one."""

from __future__ import annotations

import msgspec

from edgellm.backends import ik
from edgellm.catalog import onnx_encoder_facts
from edgellm.config import ModelSettings
from edgellm.errors import LoadError, Unsupported, UnsupportedModel
from edgellm.fit.backend_choice import OF_FORMAT, OF_SETTING, choose
from edgellm.machine.machine import Machine
from edgellm.machine.measurements import kept
from edgellm.runtime import installed
from edgellm.runtime.known_facts import facts_of
from edgellm.runtime.locate import Located
from edgellm.runtime.native_choice import FORK, native_for
from edgellm.runtime.trial_process import Telling


class Chosen(msgspec.Struct, frozen=True):
    """`setting` is the library as settings spell it, `name` as people do; `reason` says why, in a clause.

    `told` is whether people should hear it at each load, `replaceable` whether llama.cpp may stand in after a crash.
    """

    setting: str
    name: str
    reason: str
    told: bool = False
    replaceable: bool = False


def chosen_for(
    found: Located, settings: ModelSettings, machine: Machine, telling: Telling = lambda step: None
) -> Chosen:
    """For a model that writes. Blocks for seconds where two libraries must be tried first; `telling` hears of it.

    Raises what that raises, Unsupported where its library is not installed, UnsupportedModel for what the settings'
    library cannot read and for models of embeddings.
    """
    format = found.kind or "gguf"
    wanted = OF_SETTING.get(settings.backend)
    choice = choose((format,), machine.apple_silicon, wanted, installed.names())
    if wanted not in (None, format):
        raise UnsupportedModel(f"{found.name} cannot be loaded so: {choice.reason}. Leave --backend to auto.")
    if format == "gguf":
        native = native_for(found.path, settings, machine, kept(), telling=telling)
        name = ik.NAME if native.name == FORK else OF_FORMAT["gguf"]
        return Chosen(native.name, name, native.reason, native.told, native.chosen)
    if onnx_encoder_facts.holds_encoder(found.path):
        raise UnsupportedModel(
            f"{found.path} has no genai_config.json: it makes embeddings and writes no text. Name a model that does, "
            "or download the whole folder of one."
        )
    if _embeds(found):
        raise UnsupportedModel(f"{found.path} makes embeddings and writes no text. Name a model that does.")
    if not choice.usable:
        raise Unsupported(f"{found.name} cannot be loaded: {choice.reason}")
    return Chosen(format, choice.backend, choice.reason)


def _embeds(found: Located) -> bool:
    try:
        return facts_of(found.path).pooling
    except (LoadError, OSError):  # whoever loads it says why
        return False
