"""Fetches the models that tests and benchmarks need: `test_models.py NAME...|all`, or `--path NAME` to print a place.

They come through the machine's configured pip, are checked against their sums, and lie in EDGELLM_TEST_MODELS or the
user's cache directory. What is there and verified is left alone; an interrupted fetch goes on part by part.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edgellm.catalog import catalog  # noqa: E402
from edgellm.cli.progress import Meter  # noqa: E402
from edgellm.download import ensure  # noqa: E402
from edgellm.download.store import Store  # noqa: E402
from edgellm.errors import EdgeLLMError  # noqa: E402

VARIABLE = "EDGELLM_TEST_MODELS"


def directory() -> Path:
    """Where the models are kept; need not exist."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path("edgellm", appauthor=False) / "test-models"


def models() -> catalog.Catalog:
    return catalog.load(ROOT / "tests" / "models.toml")


def fetch(entry: catalog.Entry) -> None:
    """Fetch and verify one model, telling where it is."""
    store = Store(directory())
    with Meter() as meter:
        if not store.is_verified(entry, meter):
            ensure(entry, meter, root=store.root)
    print(f"{entry.name}: {store.path(entry)}")


def main() -> int:
    known = models()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(known.entries)}, or all")
    parser.add_argument("--path", metavar="NAME", choices=known.entries, help="print where NAME lies, fetching nothing")
    arguments = parser.parse_args()
    if arguments.path:
        print(Store(directory()).path(known.entries[arguments.path]))
        return 0
    names = list(known.entries) if "all" in arguments.names else arguments.names
    if unknown := [name for name in names if name not in known.entries]:
        parser.error(f"unknown: {', '.join(unknown)}. There are: {', '.join(known.entries)}, all")
    if not names:
        parser.error(f"name the models to fetch. There are: {', '.join(known.entries)}, all")
    for name in names:
        fetch(known.entries[name])
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EdgeLLMError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
