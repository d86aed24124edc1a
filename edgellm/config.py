"""Every setting, documented once, in one frozen struct: defaults < `config.toml` < `EDGELLM_*` < flags."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from edgellm import paths
from edgellm.errors import ConfigError

PREFIX = "EDGELLM_"

# Variables of ours that are not settings: where everything lives, how errors show, what test scripts pass each other.
_OTHER_VARIABLES = (paths.HOME_VARIABLE, PREFIX + "DEBUG", PREFIX + "TEST_")


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one loaded model needs to know; crosses to its worker process."""

    context: Annotated[
        int,
        Meta(
            ge=0,
            le=2**24,
            description="Tokens of KV cache in all; 0 takes the model's own length, at most 8192, or what fits.",
        ),
    ] = 0
    threads: Annotated[
        int, Meta(ge=0, le=1024, description="Threads that compute; 0 takes one for each physical core.")
    ] = 0
    gpu_layers: Annotated[
        int, Meta(ge=-1, le=10_000, description="Layers on the GPU; -1 puts all there when this build can use one.")
    ] = -1
    rpc: Annotated[
        str,
        Meta(
            description="RPC servers of llama.cpp, like 192.168.1.20:50052, with commas between: other computers whose "
            "memory holds layers of the model. Only within a network that can be trusted."
        ),
    ] = ""
    layer_split: Annotated[
        str,
        Meta(
            max_length=64,
            pattern=r"^(\d+(,\d+)*)?$",
            description="Layers for each RPC server, then each GPU, like 20,12; empty: as much as each has memory for.",
        ),
    ] = ""
    cpu_experts: Annotated[
        bool, Meta(description="Keep the routed experts of a mixture in main memory when the rest is on the GPU.")
    ] = False
    kv_type: Annotated[
        Literal["f16", "q8_0"], Meta(description="Number format of the KV cache; q8_0 halves its memory.")
    ] = "f16"
    flash_attention: Annotated[
        Literal["auto", "on", "off"], Meta(description="Fused attention kernels; auto lets the backend decide.")
    ] = "auto"
    backend: Annotated[
        Literal["auto", "llama.cpp", "ik", "mlx", "onnx"],
        Meta(
            description="Library that computes; auto takes that of the model's format, and for GGUF files the faster "
            "of those installed, once tried with the model."
        ),
    ] = "auto"
    slots: Annotated[
        int, Meta(ge=1, le=256, description="Sequences resident in the KV cache, running or kept for reuse.")
    ] = 64
    parallel: Annotated[
        int, Meta(ge=1, le=256, description="Sequences that decode at once; never more than slots or batch.")
    ] = 16
    batch: Annotated[int, Meta(ge=1, le=65_536, description="Tokens that one step computes at most.")] = 512
    prefill_chunk: Annotated[
        int,
        Meta(ge=1, le=65_536, description="Prompt tokens a step computes beside running decodes; never above batch."),
    ] = 128
    queue: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Requests that may wait; one more is told to come back later.")
    ] = 256
    prefix_cache: Annotated[
        bool, Meta(description="Keep computed prompts and reuse them for requests that begin alike.")
    ] = True
    speculation: Annotated[
        Literal["auto", "off", "ngram", "draft"],
        Meta(description="Who guesses tokens ahead where that pays: copies of the text, a draft model, both (auto)."),
    ] = "auto"
    pooling: Annotated[
        Literal["auto", "mean", "cls", "last", "rank"],
        Meta(description="How an embedding is made of those of its tokens; auto: as the model's file says, else mean."),
    ] = "auto"
    prefix_memory: Annotated[
        int, Meta(ge=0, le=2**20, description="MiB of memory for computed prompts that made room in the KV cache.")
    ] = 512


class Settings(ModelSettings, frozen=True, kw_only=True):
    """All settings of edgellm, in force together."""

    model: Annotated[
        str, Meta(min_length=1, description="Model to use when none is named: all that can be written after -m.")
    ] = "default"
    draft: Annotated[
        str,
        Meta(
            min_length=1,
            description="Model that guesses ahead for the one in use: a name or path, none, or auto: the catalog's "
            "partner, if it is on this machine.",
        ),
    ] = "auto"
    memory_check: Annotated[
        bool, Meta(description="Refuse, before loading, a model that this machine's memory cannot hold.")
    ] = True
    host: Annotated[str, Meta(min_length=1, description="Address the server listens on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="Port the server listens on; 0 takes any free one.")] = 11435
    models_memory: Annotated[
        int,
        Meta(ge=0, le=2**24, description="MiB that the server's models may take together; 0 takes all that is free."),
    ] = 0
    keep_alive: Annotated[
        str,
        Meta(
            min_length=1,
            description="How long the server keeps a model after its last request, like 5m; 0 not at all, -1 for ever.",
        ),
    ] = "5m"
    auth: Annotated[
        Literal["auto", "off"],
        Meta(
            description="Whom the server lets in: auto asks for a key once there is one, and always where others can "
            "reach it; off, which is dangerous, lets everybody in."
        ),
    ] = "auto"
    deadline: Annotated[
        float, Meta(ge=0, le=86_400, description="Seconds that a request to the server may take; 0 sets no limit.")
    ] = 0.0
    grace: Annotated[
        float, Meta(ge=0, le=3_600, description="Seconds that running answers get to end when the server is stopped.")
    ] = 10.0
    connections: Annotated[
        int, Meta(ge=1, le=65_536, description="Connections that the server keeps open at once.")
    ] = 1024
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least important line that is logged.")
    ] = "warning"
    log_file: Annotated[str, Meta(description="File that the log is added to; empty means standard error.")] = ""
    offline: Annotated[bool, Meta(description="Never use the network; only models already here can be used.")] = False
    upstream_wait: Annotated[
        float,
        Meta(ge=0, le=60, description="Seconds that a list of models waits for upstreams; 0 asks none of them."),
    ] = 2.0
    on_battery: Annotated[
        Literal["save", "full"],
        Meta(
            description="Without mains: save takes half of the threads, and of the models that a name may mean one a "
            "size smaller than fits; full does not."
        ),
    ] = "save"

    def model_settings(self) -> ModelSettings:
        """The part for a worker, with `parallel` and `prefill_chunk` kept within `slots` and `batch`."""
        values = {name: getattr(self, name) for name in ModelSettings.__struct_fields__}
        values["parallel"] = min(self.parallel, self.slots, self.batch)
        values["prefill_chunk"] = min(self.prefill_chunk, self.batch)
        return ModelSettings(**values)


class Key(msgspec.Struct, frozen=True):
    """One setting, as documentation shows it; `allowed` is in words."""

    name: str
    variable: str
    default: Any
    allowed: str
    description: str


def all_keys() -> tuple[Key, ...]:
    """Every setting in the order of definition, the general ones last."""
    return tuple(
        Key(
            field.name,
            PREFIX + field.name.upper(),
            field.default,
            _allowed(field.type),
            _meta(field.type).description or "",
        )
        for field in msgspec.structs.fields(Settings)
    )


def load(
    flags: Mapping[str, object] = MappingProxyType({}),
    *,
    environ: Mapping[str, str] = os.environ,
    file: Path | None = None,
) -> Settings:
    """The settings in force. A flag that is None, and an empty variable, count as not given.

    `file` must exist when given; the user's own `config.toml` need not. Raises ConfigError.
    """
    path = file or paths.config_file(environ)
    values = _checked(_read(path, required=file is not None), lambda name: f"{path}: {name}")
    values |= _checked(_variables(environ), lambda name: PREFIX + name.upper(), text=True)
    given = {name: value for name, value in flags.items() if value is not None}
    values |= _checked(given, lambda name: "--" + name.replace("_", "-"))
    return Settings(**values)


def _read(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        if not required:
            return {}
        raise ConfigError(f"there is no settings file {path}. Check the path.") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}. Make it a readable file.") from error
    import tomllib  # here, as most have no such file

    try:
        return tomllib.loads(text.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not valid TOML: {error}. Correct it, or remove it to get the defaults."
        ) from error


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and not name.startswith(_OTHER_VARIABLES) and value
    }


def _checked(values: Mapping[str, Any], spell: Callable[[str], str], *, text: bool = False) -> dict[str, Any]:
    """`values` as the right types; `spell` writes a key as its source does; `text` if every value came as text."""
    if not values:  # to find out the types takes longer than all the rest
        return {}
    types = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    for name in values:
        if name not in types:
            raise ConfigError(f"{spell(name)} is not a setting. {_instead(name, types, spell)}")
    return {name: _converted(value, types[name], spell(name), text) for name, value in values.items()}


def _converted(value: Any, kind: Any, key: str, text: bool) -> Any:
    try:
        return msgspec.convert(value, kind, strict=not text)
    except msgspec.ValidationError:
        raise ConfigError(f"{key} is {value!r}, but must be {_allowed(kind)}. Correct or remove it.") from None


def _instead(name: str, known: Iterable[str], spell: Callable[[str], str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1)
    return f"Did you mean {spell(close[0])}?" if close else f"The settings are: {', '.join(known)}."


def _meta(kind: Any) -> Meta:
    meta = get_args(kind)[1]
    assert isinstance(meta, Meta), kind
    return meta


def _allowed(kind: Any) -> str:
    """In words, the values a setting of this annotated type may have."""
    plain, meta = get_args(kind)[0], _meta(kind)
    if get_origin(plain) is Literal:
        return " or ".join(get_args(plain))
    if plain is bool:
        return "true or false"
    if plain in (int, float):
        return f"a {'whole ' if plain is int else ''}number from {meta.ge} to {meta.le}"
    if meta.pattern:
        return "whole numbers with commas between"
    return "text that is not empty" if meta.min_length else "text"
