"""Chooses the library that computes a GGUF model: stock llama.cpp, or a fork where this machine showed it is better."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path

import msgspec

from edgellm.backends import ik, ik_wheel
from edgellm.backends.llamacpp.build import PACKAGE
from edgellm.config import ModelSettings
from edgellm.errors import LoadError, ModelNotFound, Unsupported
from edgellm.machine.machine import Machine
from edgellm.machine.measurements import Key, Measurements
from edgellm.runtime.known_facts import facts_of
from edgellm.runtime.native_trial import Trial
from edgellm.runtime.spawn import exit_words
from edgellm.runtime.trial_process import Telling, run_trial

STOCK, FORK = "llama.cpp", "ik"
KIND = "native_trial"

RunTrial = Callable[[Path, ModelSettings, Telling], Trial]


UNKNOWN_WHEEL = f"its libraries are not those of the wheels of {ik.PACKAGE} {ik.VERSION} that were tried"


class Native(msgspec.Struct, frozen=True):
    """The library's name as settings spell it, and why, in a clause.

    `chosen` is whether it was taken for its own sake, so that another may stand in for it; `told` whether people should
    hear of it: the fork is used, or was just found wanting.
    """

    name: str
    reason: str
    chosen: bool = False
    told: bool = False


def native_for(
    path: Path,
    settings: ModelSettings,
    machine: Machine,
    kept: Measurements,
    *,
    telling: Telling = lambda step: None,
    run: RunTrial | None = None,
) -> Native:
    """For the GGUF file at `path`. Blocks for seconds when it must be tried first, and calls `telling` meanwhile.

    Raises Unsupported where the settings name a library that is not installed, and what `telling` raises.
    """
    missing = obstacle(settings, machine)
    if settings.backend == FORK:
        if missing.startswith("it is not installed"):
            raise Unsupported(f"{ik.NAME} is not installed. Install it with: pip install 'edgellm[ik]'")
        return Native(FORK, "the settings name it")
    if settings.backend == STOCK or missing:
        return Native(STOCK, f"{ik.NAME} is not used: {missing}" if missing else "the settings name it")
    try:
        if wrong := ik.WRONG & facts_of(path).tensor_types.keys():
            return Native(STOCK, f"{ik.NAME} is not used: its kernels for {', '.join(sorted(wrong))} are wrong")
    except (LoadError, ModelNotFound) as error:  # whoever loads the file says so better
        return Native(STOCK, f"{ik.NAME} is not used: {error}")
    try:
        return _decided(*_tried(path, settings, machine, kept, telling, run or run_trial))
    except OSError as error:
        return Native(STOCK, f"{ik.NAME} is not used: the file cannot be read ({error.strerror})")


def obstacle(settings: ModelSettings, machine: Machine) -> str:
    """Why the fork is out of the question, before anything is tried; empty where it is not."""
    version = ik.installed()
    if not version:
        return "it is not installed"
    if version != ik.VERSION:
        return f"version {version} is installed, and only {ik.VERSION} is known to fit"
    if machine.arch.lower() not in ("x86_64", "amd64"):
        return "it is for x86-64 processors"
    if machine.gpus and settings.gpu_layers != 0:
        return "this machine has a GPU"
    if settings.rpc:
        return "it has no RPC that fits"
    if settings.kv_type != "f16" or settings.flash_attention == "on":
        return "it cannot compute with these settings of KV cache and attention"
    return ""


def _tried(
    path: Path,
    settings: ModelSettings,
    machine: Machine,
    kept: Measurements,
    telling: Telling,
    run: RunTrial,
) -> tuple[Trial, bool]:
    """And whether it was made just now."""
    key = _key(path, settings, machine)
    known = kept.read(KIND, key, Trial)
    if known is None and not ik_wheel.is_known():
        return Trial(problem=UNKNOWN_WHEEL, sure=False), False
    if known is not None:
        return known, False
    telling(0)
    made = run(path, settings, telling)
    if made.sure:
        kept.write(KIND, key, made)
    return made, True


def _key(path: Path, settings: ModelSettings, machine: Machine) -> Key:
    from edgellm.backends.llamacpp.identity import identity
    from edgellm.backends.llamacpp.threads import default_threads

    package = f"{ik.PACKAGE} {ik.installed()} {ik_wheel.stamp()}; {PACKAGE} {importlib.metadata.version(PACKAGE)}"
    return Key(identity(path).hex(), package, settings.threads or default_threads(), machine.id)


def distrust(path: Path, settings: ModelSettings, machine: Machine, kept: Measurements, code: int) -> None:
    """The fork crashed with this model, ending with exit code `code`: from now on stock llama.cpp computes it."""
    trial = Trial(problem=f"it crashed with this model ({exit_words(code)})")
    kept.write(KIND, _key(path, settings, machine), trial)


def _decided(trial: Trial, anew: bool) -> Native:
    if trial.problem:
        return Native(STOCK, f"{ik.NAME} is not used: {trial.problem}", told=anew)
    assert trial.stock is not None and trial.fork is not None
    times = f"{trial.fork.one:.0f} ms a token against {trial.stock.one:.0f}, {trial.fork.eight:.0f} against "
    times += f"{trial.stock.eight:.0f} for eight at once"
    if trial.faster:
        return Native(FORK, f"{ik.NAME} was measured faster here: {times}", chosen=True, told=True)
    return Native(STOCK, f"{ik.NAME} was measured no faster here: {times}")
