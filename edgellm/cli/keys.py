"""`edgellm keys`: make, list, replace and revoke the keys that clients show to a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from edgellm.server.key_store import AccessKey

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the key is called: whom or what it is for.")]
Json = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs.")]


def create(name: Name) -> int:
    """Make a key. Its secret is shown this once; only a hash of it is kept."""
    from edgellm.server.key_store import KeyStore

    store = KeyStore()
    first = not store.all()
    _show(name, store.create(name))
    if first:
        _tell("It is the first: from now on the server asks every client for a key, on this machine too.")
    return 0


def list_(as_json: Json = False) -> int:
    """List the keys there are, without their secrets."""
    from edgellm.server.key_store import KeyStore

    keys = KeyStore().all()
    if as_json:
        import json

        print(json.dumps([_row(key) for key in keys], indent=2))
    elif keys:
        lines = [("NAME", "BEGINS WITH", "MADE"), *((key.name, f"{key.prefix}…", _day(key)) for key in keys)]
        widths = [max(len(line[column]) for line in lines) for column in range(2)]
        for line in lines:
            print(f"{line[0].ljust(widths[0])}  {line[1].ljust(widths[1])}  {line[2]}")
    else:
        print("There are no keys. `edgellm keys create NAME` makes one.")
    return 0


def revoke(name: Name) -> int:
    """Make a key void, at once, for a running server too."""
    from edgellm.server.key_store import KeyStore

    store = KeyStore()
    store.revoke(name)
    _tell(f"revoked {name}")
    if not store.all():
        _tell("It was the last: on this machine's own address the server asks for no key any more.")
    return 0


def rotate(name: Name) -> int:
    """Give a key a new secret; the old one is void at once."""
    from edgellm.server.key_store import KeyStore

    _show(name, KeyStore().rotate(name))
    return 0


def _show(name: str, secret: str) -> None:
    """The secret alone goes to stdout, so that a script can take it."""
    _tell(f"The key {name!r}, shown this once (clients send it as `Authorization: Bearer KEY`):")
    print(secret, flush=True)


def _tell(words: str) -> None:
    import sys

    print(words, file=sys.stderr)


def _row(key: AccessKey) -> dict[str, Any]:
    return {"name": key.name, "prefix": key.prefix, "created": key.created}


def _day(key: AccessKey) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(key.created).astimezone().strftime("%Y-%m-%d %H:%M")
