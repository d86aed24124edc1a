"""edgellm: run a language model on the computer in front of you.

import edgellm

model = edgellm.load("smollm2")                 # a Model: `async for event in model.stream(edgellm.ask("Hi"))`
with model.sync as local:                       # the same without async
    print(local.text("What is the capital of France?"))

with edgellm.load_embedder("all-minilm").sync as embedder:
    print(embedder.embed(["A first text", "and another"]).vectors)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"
__all__ = ["ChatRequest", "EdgeLLMError", "Event", "Message", "Model", "SamplingParams", "ask", "load", "load_embedder"]

if TYPE_CHECKING:
    from edgellm.errors import EdgeLLMError
    from edgellm.events import Event
    from edgellm.messages import Message
    from edgellm.model import Model
    from edgellm.request import ChatRequest, SamplingParams, ask
    from edgellm.runtime.embedder_facade import LoadedEmbedder
    from edgellm.runtime.facade import LoadedModel

_HOMES = {
    "ChatRequest": "request",
    "SamplingParams": "request",
    "ask": "request",
    "EdgeLLMError": "errors",
    "Event": "events",
    "Message": "messages",
    "Model": "model",
}


def load(model: str = "default", **settings: Any) -> LoadedModel:
    """The model of a name in the catalog, a repository of the hub, an address or a path, in a process of its own.

    Fetches it first if it is not here (this blocks); loads it at the first request, or at `await model.start()`.
    `settings` are those of the configuration (`context=4096`, `threads=4`, ...).
    Raises ModelNotFound, DownloadError or ConfigError.
    """
    from edgellm import config
    from edgellm.runtime.assemble import open_model
    from edgellm.runtime.facade import LoadedModel

    return LoadedModel(open_model(model, config.load(settings)))


def load_embedder(model: str = "embed", **settings: Any) -> LoadedEmbedder:
    """The model of a name, as `load` takes it, for embeddings, or for ranking where it was made for that.

    Fetches it first if it is not here (this blocks); loads it at the first request, or at `await embedder.start()`.
    Raises ModelNotFound, DownloadError, NotEnoughMemory or ConfigError.
    """
    from edgellm import config
    from edgellm.runtime.embedder_facade import LoadedEmbedder
    from edgellm.runtime.open_embedder import load_embedder

    return LoadedEmbedder(load_embedder(model, config.load(settings)))


def __getattr__(name: str) -> Any:
    # `edgellm --help` imports this package too: the public names load their modules when somebody asks for them.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"edgellm.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'edgellm' has no attribute {name!r}")
