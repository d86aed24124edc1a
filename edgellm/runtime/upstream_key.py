"""The key of an upstream: from the environment or the system's keyring, and never shown to anybody but the upstream."""

from __future__ import annotations

import os
from collections.abc import Mapping

from edgellm.catalog.upstream import KEYRING, Upstream
from edgellm.errors import ConfigError

SERVICE = "edgellm"


def key_of(upstream: Upstream, environ: Mapping[str, str] = os.environ) -> str:
    """ "" for an upstream that asks for none. May block on a keyring. Raises ConfigError where there is no key."""
    if upstream.variable:
        key = environ.get(upstream.variable, "").strip()
        if not key:
            raise ConfigError(
                f"the upstream {upstream.name} wants its key from {upstream.variable}, which is not set. Set that "
                "environment variable."
            )
        return key
    return _of_keyring(upstream) if upstream.key == KEYRING else ""


def place(upstream: Upstream) -> str:
    """Where its key comes from, in words; "" where it has none."""
    if upstream.variable:
        return f"the environment variable {upstream.variable}"
    return "the keyring" if upstream.key == KEYRING else ""


def advice(upstream: Upstream) -> str:
    """What to do where the upstream does not take its key."""
    if where := place(upstream):
        return f"Correct the key in {where}."
    return 'It asks for a key: say where it is in models.toml, as in key = "env:VARIABLE".'


def _of_keyring(upstream: Upstream) -> str:
    try:
        import keyring
    except ImportError:
        raise ConfigError(
            f"the upstream {upstream.name} wants its key from the keyring, and this installation cannot ask it. Run: "
            "pip install 'edgellm[keyring]'"
        ) from None
    try:
        key = keyring.get_password(SERVICE, upstream.name)
    except Exception as error:  # each system's keyring has errors of its own
        problem = type(error).__name__
        raise ConfigError(
            f"the keyring does not give the key of the upstream {upstream.name} ({problem}). Unlock it, or keep the "
            'key in the environment: key = "env:VARIABLE" in models.toml.'
        ) from None
    if not key:
        raise ConfigError(
            f"the keyring has no key of the upstream {upstream.name}. Put it there: keyring set {SERVICE} "
            f"{upstream.name}"
        )
    return key.strip()
