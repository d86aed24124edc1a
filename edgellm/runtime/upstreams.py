"""Models of upstreams by the names that people write: found, opened, listed, and offered in place of others."""

from __future__ import annotations

from edgellm.catalog import catalog as catalogs
from edgellm.catalog.catalog import Catalog
from edgellm.catalog.reference import Reference, UpstreamReference
from edgellm.catalog.upstream import Upstream
from edgellm.config import Settings
from edgellm.errors import ModelNotFound, NotEnoughMemory
from edgellm.remote.flavour import shown_as
from edgellm.runtime.upstream_lookout import Lookout, Seen
from edgellm.runtime.upstream_model import UpstreamModel, opened
from edgellm.runtime.upstream_twins import twin


def meant(name: str, settings: Settings, lookout: Lookout | None = None) -> UpstreamReference | None:
    """The model of an upstream that `name` means; None for all other names, and for those that mean nothing.

    Of an alias that may mean several models it is the one that would be used now, of NAME/ the only one there is: both
    ask upstreams, and block. Raises ConfigError, and ModelNotFound where NAME/ has several.
    """
    known = catalogs.current()
    if not known.upstreams:
        return None
    try:
        candidates = known.candidates(name)
    except ModelNotFound:
        return None
    if not any(isinstance(each, UpstreamReference) for each in candidates):
        return None
    found = candidates[0] if len(candidates) == 1 else _chosen(candidates, known, settings, lookout)
    if not isinstance(found, UpstreamReference) or found.model:
        return found if isinstance(found, UpstreamReference) else None
    return _only_one(known.upstreams[found.upstream], settings, lookout) or found


def _chosen(candidates: tuple[Reference, ...], known: Catalog, settings: Settings, lookout: Lookout | None) -> object:
    from edgellm.runtime.locate import choose

    return choose(candidates, known, settings, lookout=lookout).target


def _only_one(upstream: Upstream, settings: Settings, lookout: Lookout | None) -> UpstreamReference | None:
    """The only model that it offers; None where it does not answer: whoever asks it hears why. Raises ModelNotFound."""
    for each in (lookout or Lookout(settings)).look([upstream]):
        if each.answers and len(each.models) != 1:
            names = ", ".join(shown_as(model.name) for model in each.models[:20]) or "none"
            raise ModelNotFound(
                f"The upstream {upstream.name} does not have one model, but these: {names}. Name one, as in "
                f"{upstream.name}/MODEL."
            )
        if each.answers:
            return UpstreamReference(upstream.name, shown_as(each.models[0].name))
    return None


def open_upstream(reference: UpstreamReference, settings: Settings) -> UpstreamModel:
    """The model, not asked for yet. Raises ModelNotFound, Offline, ConfigError."""
    return opened(reference, catalogs.current().upstreams[reference.upstream], settings)


def seen(settings: Settings, lookout: Lookout | None = None) -> tuple[Seen, ...]:
    """Every upstream as it is now, or was a moment ago. Blocks for as long as the settings allow."""
    known = catalogs.current()
    return (lookout or Lookout(settings)).look(known.upstreams.values()) if known.upstreams else ()


def answers(reference: UpstreamReference, known: Catalog, settings: Settings, lookout: Lookout | None = None) -> bool:
    """Whether the upstream answers, and has the model."""
    (found,) = (lookout or Lookout(settings)).look([known.upstreams[reference.upstream]]) or (None,)
    return found is not None and found.answers and found.named(reference.model) is not None


def too_large(error: NotEnoughMemory, name: str, settings: Settings, lookout: Lookout | None = None) -> NotEnoughMemory:
    """`error`, and which upstream has the model that is called `name` here, if one does. Blocks as `seen` does."""
    there = having(name, settings, lookout)
    return NotEnoughMemory(f"{error} {there}", error.needed, error.available) if there else error


def having(name: str, settings: Settings, lookout: Lookout | None = None) -> str:
    """A sentence that names an upstream with the model that is called `name` here; "" where none has it."""
    entry = catalogs.current().named(name.partition(":")[0])
    for each in seen(settings, lookout):
        offered = [model.name for model in each.models] if each.answers else []
        if (found := twin(name, entry, offered)) is not None:
            there = f"{each.upstream.name}/{shown_as(found)}"
            return f"The upstream {each.upstream.name} has it: `edgellm run -m {there}`."
    return ""
