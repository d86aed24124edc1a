"""The rules of the house that no linter knows: size, docstrings, names, and documented settings."""

import ast
import re
from pathlib import Path

import pytest

from edgellm import config

ROOT = Path(__file__).parent.parent
FILES = sorted(path for room in ("edgellm", "tui", "tests", "scripts") for path in (ROOT / room).rglob("*.py"))
FORBIDDEN_FILE = re.compile(r"(^|_)(utils?|common|helpers?|misc|manager|handler|base_\w+)$")
FORBIDDEN_CLASS = re.compile(r"Manager$|Handler$|^_?Base[A-Z]|Mixin$|Utils?$|Helpers?$")
BARE_CACHE = re.compile(r"^_?cache$", re.IGNORECASE)
MODULES = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())


def test_the_rooms_are_found() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == {"edgellm", "tui", "tests", "scripts"}


@MODULES
def test_no_file_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@MODULES
def test_every_module_opens_with_its_contract(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring and docstring.split("\n\n")[0].rstrip().endswith((".", ":"))
    assert "TODO" not in docstring


@MODULES
def test_names_say_what_a_thing_is(path: Path) -> None:
    assert not FORBIDDEN_FILE.search(path.stem), path.stem
    assert not BARE_CACHE.search(path.stem), "cache takes an adjective"
    classes = [
        node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ClassDef)
    ]
    assert not [name for name in classes if FORBIDDEN_CLASS.search(name) or BARE_CACHE.search(name)]


@MODULES
def test_nothing_is_left_undone(path: Path) -> None:
    if path == Path(__file__):
        return
    found = re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", path.read_text(encoding="utf-8"))
    assert found is None, found


@pytest.mark.parametrize("key", config.all_keys(), ids=lambda key: key.name)
def test_every_setting_is_documented(key: config.Key) -> None:
    assert key.description.endswith(".") and len(key.description) > 20
    assert key.allowed and "None" not in key.allowed
    assert key.variable == f"EDGELLM_{key.name.upper()}"
