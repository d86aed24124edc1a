"""Tests of `edgellm.paths`."""

import sys
from pathlib import Path

import pytest

from edgellm import paths
from edgellm.errors import ConfigError

DIRECTORIES = {
    paths.config_dir: "config",
    paths.data_dir: "data",
    paths.cache_dir: "cache",
    paths.models_dir: "data/models",
    paths.conversations_dir: "data/conversations",
    paths.logs_dir: "logs",
}


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_home_holds_everything_and_is_made_on_demand(directory, tmp_path, monkeypatch) -> None:
    home = tmp_path / "new" / "home"
    monkeypatch.setenv("EDGELLM_HOME", str(home))
    assert not home.exists()
    assert directory() == home / DIRECTORIES[directory]
    assert directory().is_dir()


def test_a_relative_home_becomes_absolute(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGELLM_HOME", "here")
    assert paths.data_dir() == tmp_path / "here" / "data"


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_what_we_make_is_private(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    assert paths.data_dir().stat().st_mode & 0o077 == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="XDG is of Linux")
def test_without_home_the_platform_decides(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("EDGELLM_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert paths.models_dir() == tmp_path / "edgellm" / "models"


def test_the_settings_file_is_named_but_not_made(tmp_path) -> None:
    file = paths.config_file({"EDGELLM_HOME": str(tmp_path / "home")})
    assert file == tmp_path / "home" / "config" / "config.toml"
    assert not (tmp_path / "home").exists()


def test_a_place_that_cannot_be_made_is_an_error(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"EDGELLM_HOME") as raised:
        paths.cache_dir()
    assert str(Path("file") / "cache") in str(raised.value)
