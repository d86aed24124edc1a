"""What may be written after -m: every form, what each is taken for, and what is refused."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, strategies as st

from edgellm.catalog.reference import (
    HubReference,
    NameReference,
    PathReference,
    Reference,
    UrlReference,
    looks_like_path,
    parse,
)
from edgellm.errors import ModelNotFound

HUB = "https://huggingface.co"


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("smollm2", NameReference("smollm2")),
        (" SmolLM2 ", NameReference("smollm2")),
        ("code-fast", NameReference("code-fast")),
        ("smollm2:q8_0", NameReference("smollm2", "Q8_0")),
        ("qwen2.5-coder:1.5b", NameReference("qwen2.5-coder", "1.5b")),
        ("x:4bit", NameReference("x", "4-bit")),
        ("user/repo", HubReference("user/repo")),
        ("User/Repo-GGUF:q4_k_m", HubReference("User/Repo-GGUF", "Q4_K_M")),
        ("hf.co/user/repo", HubReference("user/repo")),
        ("HF.CO/user/repo:UD-Q4_K_XL", HubReference("user/repo", "UD-Q4_K_XL")),
        ("huggingface.co/user/repo/", HubReference("user/repo")),
        ("hf.co/user/repo/a/b-Q4_0.gguf", HubReference("user/repo", file="a/b-Q4_0.gguf")),
        ("hf.co/user/repo/a b (1).gguf", HubReference("user/repo", file="a b (1).gguf")),
        (f"{HUB}/user/repo", HubReference("user/repo")),
        (f"{HUB}/user/repo:Q4_0", HubReference("user/repo", "Q4_0")),
        (f"{HUB}/user/repo/tree/main", HubReference("user/repo")),
        (f"{HUB}/user/repo/tree/refs%2Fpr%2F3", HubReference("user/repo", revision="refs/pr/3")),
        (
            f"{HUB}/user/repo/resolve/v1.0/x.gguf?download=true",
            HubReference("user/repo", file="x.gguf", revision="v1.0"),
        ),
        (f"{HUB}/user/repo/blob/main/sub/x%20y.gguf", HubReference("user/repo", file="sub/x y.gguf")),
        ("https://example.org/models/x.gguf", UrlReference("https://example.org/models/x.gguf")),
        ("https://example.org:8443/x.GGUF?a=b&c", UrlReference("https://example.org:8443/x.GGUF?a=b&c")),
        ("x.gguf", PathReference("x.gguf")),
        ("models/x.gguf", PathReference("models/x.gguf")),
        ("models/mlx/tiny", PathReference("models/mlx/tiny")),
        ("./x", PathReference("./x")),
        ("../x", PathReference("../x")),
        (".", PathReference(".")),
        ("~/x", PathReference("~/x")),
        ("/srv/modèles/x", PathReference("/srv/modèles/x")),
        ("folder/", PathReference("folder/")),
        ("C:\\models\\x", PathReference("C:\\models\\x")),
        ("c:/models/x", PathReference("c:/models/x")),
        ("\\\\server\\share\\x", PathReference("\\\\server\\share\\x")),
    ],
)
def test_every_form_is_known_by_its_shape(text: str, reference: Reference) -> None:
    assert parse(text) == reference


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no model is named"),
        ("  ", "no model is named"),
        ("x" * 5000, "too long"),
        ("a\0b", "characters"),
        ("a\x1b[2Jb", "characters"),
        ("a\u202eb", "characters"),
        ("a b", "no model is called"),
        ("a..b", "no model is called"),
        ("-m", "no model is called"),
        ("_x", "no model is called"),
        ("ñandú", "no model is called"),
        ("a:", "no model is called"),
        ("a:b:c", "no model is called"),
        ("a:..", "no model is called"),
        ("$(id)", "no model is called"),
        ("x/..", "no repository"),
        ("a/b:c:d", "no repository"),
        ("a/b:", "no repository"),
        ("a/b--c", "no repository"),
        ("a/b.git", "no repository"),
        ("a/-b", "no repository"),
        ("a/b c", "no repository"),
        ("a/" + "b" * 97, "no repository"),
        ("hf.co/a", "no repository"),
        ("hf.co/", "no repository"),
        ("hf.co/../etc/passwd", "no repository"),
        ("hf.co/a/b/../c.gguf", "not a GGUF file of a repository"),
        ("hf.co/a/b//c.gguf", "not a GGUF file of a repository"),
        ("hf.co/a/b/c.safetensors", "not a GGUF file of a repository"),
        (f"{HUB}/a/b/resolve/main/%2e%2e/c.gguf", "not a GGUF file of a repository"),
        (f"{HUB}/a/b/resolve/..%2F../c.gguf", "no repository"),
        (f"{HUB}/a/b/blob/main/README.md", "not a GGUF file of a repository"),
        ("http://example.org/x.gguf", "begin with https"),
        ("file:///etc/x.gguf", "begin with https"),
        ("ftp://example.org/x.gguf", "begin with https"),
        ("https://example.org/x.bin", "must end in .gguf"),
        ("https://example.org/?x.gguf", "must end in .gguf"),
        ("https://example.org/a/../x.gguf", "leads nowhere"),
        ("https://example.org/a/%2e%2e/x.gguf", "leads nowhere"),
        ("https:///x.gguf", "no address"),
        ("https://me:secret@example.org/x.gguf", "no password"),
        ("https://exa mple.org/x.gguf", "no address"),
        ("https://[::1/x.gguf", "no address"),
        ("https://example.org:99999/x.gguf", "no address"),
    ],
)
def test_what_can_name_no_model_is_refused_with_advice(text: str, problem: str) -> None:
    with pytest.raises(ModelNotFound, match=problem):
        parse(text)


@given(st.text(max_size=60) | st.text(string.ascii_letters + string.digits + "./:~\\-_%@", max_size=30))
def test_no_text_is_too_odd_and_what_is_written_out_means_the_same(text: str) -> None:
    try:
        reference = parse(text)
    except ModelNotFound as error:
        assert str(error).endswith(".")
        return
    assert parse(str(reference)) == reference


@given(st.text(string.ascii_letters + "./:~\\-_%", min_size=1, max_size=30).map("hf.co/".__add__))
def test_a_repository_never_leads_out_of_itself(text: str) -> None:
    try:
        reference = parse(text)
    except ModelNotFound:
        return
    assert isinstance(reference, HubReference)
    assert reference.repository.count("/") == 1
    assert ".." not in reference.repository
    assert not {"", ".", ".."} & set(reference.file.split("/")) or not reference.file


def test_a_path_is_told_from_a_name_and_a_repository() -> None:
    assert looks_like_path("a/b/c") and looks_like_path("x.GGUF")
    assert not looks_like_path("a/b") and not looks_like_path("smollm2")
