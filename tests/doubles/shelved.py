"""Puts model files into a home's store, as though they had been fetched under some name."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from edgellm.download import manifest as manifests
from edgellm.download.manifest import Manifest


def shelve(home: Path, name: str, file: Path) -> Path:
    """`file`, linked or copied, as the model called `name` of the home that EDGELLM_HOME names."""
    folder = home / "data" / "models" / name.replace("/", "--").replace(":", "--")
    folder.mkdir(parents=True)
    path = folder / file.name
    try:
        os.link(file, path)
    except OSError:
        shutil.copy(file, path)
    held = (manifests.held(file.name, path, ""),)
    manifests.write(
        folder,
        Manifest(
            reference=name, folder=folder.name, origin="url", source=file.name, files=held, fetched_at=time.time()
        ),
    )
    return path
