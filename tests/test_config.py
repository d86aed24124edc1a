"""Tests of `edgellm.config`."""

import subprocess
import sys

import msgspec
import pytest

from edgellm import config
from edgellm.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "config.toml"


@pytest.fixture
def home(tmp_path):
    """An environment whose edgellm home is empty."""
    return {"EDGELLM_HOME": str(tmp_path / "home")}


def test_defaults(home) -> None:
    settings = config.load(environ=home)
    assert settings == config.Settings()
    assert (settings.model, settings.host, settings.port) == ("default", "127.0.0.1", 11435)


def test_each_source_overrules_the_one_before(file, home) -> None:
    file.write_text("port = 1\nslots = 1\nqueue = 1\n")
    environ = home | {"EDGELLM_PORT": "2", "EDGELLM_SLOTS": "2"}
    settings = config.load({"port": 3}, environ=environ, file=file)
    assert (settings.port, settings.slots, settings.queue, settings.batch) == (3, 2, 1, 512)


def test_the_users_own_file_is_found(tmp_path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text('model = "mine"\n')
    assert config.load(environ={"EDGELLM_HOME": str(tmp_path)}).model == "mine"


def test_a_flag_that_was_not_given_changes_nothing(home) -> None:
    assert config.load({"port": None}, environ=home | {"EDGELLM_PORT": "2"}).port == 2


def test_an_empty_variable_changes_nothing(home) -> None:
    assert config.load(environ=home | {"EDGELLM_PORT": ""}).port == 11435


@pytest.mark.parametrize(("word", "value"), [("true", True), ("1", True), ("False", False), ("0", False)])
def test_variables_spell_booleans_as_words(word, value, home) -> None:
    assert config.load(environ=home | {"EDGELLM_OFFLINE": word}).offline is value


@pytest.mark.parametrize("variable", ["EDGELLM_HOME", "EDGELLM_DEBUG", "EDGELLM_TEST_MODELS", "OTHER_PORT"])
def test_variables_that_are_no_settings_are_left_alone(variable, tmp_path) -> None:
    assert config.load(environ={"EDGELLM_HOME": str(tmp_path)} | {variable: str(tmp_path)}) == config.Settings()


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("EDGELLM_PORT", "many", "whole number from 0 to 65535"),
        ("EDGELLM_PORT", "65536", "whole number from 0 to 65535"),
        ("EDGELLM_THREADS", "-1", "whole number from 0 to 1024"),
        ("EDGELLM_SLOTS", "257", "whole number from 1 to 256"),
        ("EDGELLM_BATCH", "1.5", "whole number"),
        ("EDGELLM_KV_TYPE", "f32", "f16 or q8_0"),
        ("EDGELLM_PREFIX_CACHE", "perhaps", "true or false"),
    ],
)
def test_a_bad_variable_is_named_with_what_is_allowed(variable, value, allowed, home) -> None:
    with pytest.raises(ConfigError) as raised:
        config.load(environ=home | {variable: value})
    assert variable in str(raised.value) and value in str(raised.value) and allowed in str(raised.value)


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ('port = "80"', "whole number"),
        ("port = true", "whole number"),
        ("port = -1", "whole number from 0"),
        ('offline = "true"', "true or false"),
        ("model = 3", "text"),
        ('model = ""', "text that is not empty"),
        ('log_level = "loud"', "debug or info or warning or error"),
    ],
)
def test_a_bad_line_is_named_with_its_file_and_what_is_allowed(line, allowed, file, home) -> None:
    file.write_text(line)
    with pytest.raises(ConfigError) as raised:
        config.load(environ=home, file=file)
    assert str(file) in str(raised.value) and line.split(" =")[0] in str(raised.value) and allowed in str(raised.value)


def test_a_bad_flag_is_named_as_a_flag(home) -> None:
    with pytest.raises(ConfigError, match=r"--gpu-layers is -2.*from -1"):
        config.load({"gpu_layers": -2}, environ=home)


@pytest.mark.parametrize(
    ("flags", "environ", "text", "named"),
    [
        ({"gpu_layer": 1}, {}, "", "--gpu-layer is not a setting. Did you mean --gpu-layers?"),
        ({}, {"EDGELLM_PROT": "1"}, "", "EDGELLM_PROT is not a setting. Did you mean EDGELLM_PORT?"),
        ({}, {}, "thread = 1", "thread is not a setting. Did you mean"),
        ({}, {}, "[wxyz]\nport = 1", "wxyz is not a setting. The settings are: context, "),
    ],
)
def test_an_unknown_key_is_an_error_with_a_suggestion(flags, environ, text, named, file, home) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        config.load(flags, environ=home | environ, file=file)
    assert named in str(raised.value)


@pytest.mark.parametrize("content", [b"port = ", b"port = 1\nport = 2", b"model = '\xff'"])
def test_a_file_that_is_not_toml_is_an_error(content, file, home) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="not valid TOML") as raised:
        config.load(environ=home, file=file)
    assert str(file) in str(raised.value)


def test_a_file_that_was_named_must_exist(file, home) -> None:
    with pytest.raises(ConfigError, match="no settings file"):
        config.load(environ=home, file=file)


def test_a_directory_is_no_file(tmp_path, home) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        config.load(environ=home, file=tmp_path)


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        config.Settings().port = 1  # type: ignore[misc]


def test_a_worker_gets_its_part_and_no_more() -> None:
    part = config.Settings(context=99, kv_type="q8_0", port=1).model_settings()
    assert type(part) is config.ModelSettings
    assert part == config.ModelSettings(context=99, kv_type="q8_0")


def test_a_workers_numbers_agree_with_each_other() -> None:
    part = config.Settings(slots=4, parallel=16, batch=64, prefill_chunk=128).model_settings()
    assert (part.parallel, part.prefill_chunk) == (4, 64)
    assert config.Settings(batch=2).model_settings().parallel == 2


def test_the_part_crosses_a_process_boundary() -> None:
    part = config.ModelSettings(slots=3)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(part), type=config.ModelSettings) == part


def test_every_default_is_itself_allowed(home) -> None:
    assert config.load({key.name: key.default for key in config.all_keys()}, environ=home) == config.Settings()


def test_settings_are_cheap_to_import() -> None:
    code = "import sys, edgellm.config; print([m for m in ('pydantic', 'numpy', 'structlog') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
