"""A wheel can be made again from what is installed."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgellm.download.bundle import own_wheel
from edgellm.errors import DownloadError
from tests.doubles import packages


def test_an_installed_wheel_comes_out_as_it_went_in(tmp_path: Path) -> None:
    original = packages.wheel(
        tmp_path,
        "thing",
        requires=["other>=2"],
        files={"thing/__init__.py": "VALUE = 1\n", "thing/data.toml": "a = 1\n"},
        scripts="thing = thing:main",
    )
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(site), str(original)], check=True)
    (site / "thing" / "__pycache__").mkdir(exist_ok=True)
    (found,) = importlib.metadata.distributions(path=[str(site)])
    again = tmp_path / "again"
    again.mkdir()
    packed = own_wheel.pack(found, again)
    assert packed.name == original.name
    assert _content(packed) == _content(original)
    with zipfile.ZipFile(packed) as archive:
        record = archive.read("thing-1.0.dist-info/RECORD").decode()
    assert "thing/data.toml,sha256=" in record
    assert record.endswith("thing-1.0.dist-info/RECORD,,\n")


def test_an_editable_installation_is_found_by_its_tree(tmp_path: Path) -> None:
    tree = tmp_path / "a tree"
    tree.mkdir()
    (tree / "pyproject.toml").touch()
    distribution = _distribution(tmp_path, f'{{"dir_info": {{"editable": true}}, "url": "{tree.as_uri()}"}}')
    assert own_wheel.source_tree(distribution) == tree
    assert own_wheel.source_tree(_distribution(tmp_path, '{"url": "https://example.org/x.whl"}')) is None


def test_an_installation_without_metadata_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="lost its metadata"):
        own_wheel.pack(_distribution(tmp_path, "{}"), tmp_path)


def _content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")}


def _distribution(tmp_path: Path, direct_url: str) -> importlib.metadata.Distribution:
    info = tmp_path / "edgellm-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: edgellm\nVersion: 1.0\n")
    (info / "direct_url.json").write_text(direct_url)
    return importlib.metadata.PathDistribution(info)
