"""The text around a hole as token ids, by each family's own tokens, in the order that llama-server has them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st

from edgellm.backends.base import InfillTokens
from edgellm.chat.infill import infill_ids
from edgellm.errors import Unsupported
from edgellm.request import Infill, SourceFile

QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>", "<|fim_pad|>")
DEEPSEEK = ("<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>", "<\uff5cfim\u2581end\uff5c>")
FILES = (SourceFile("a.h", "int a;\n"), SourceFile("tmp", "int b;\n"))


class Vocabulary:
    """A token a byte, 256 to begin a text, then `controls`; with `spaced`, a space before every text, as some have."""

    bos: int | None = 256
    eos: int | None = None
    end_tokens: frozenset[int] = frozenset()
    template: str | None = None

    def __init__(
        self, *controls: str, infill: InfillTokens | None = None, wants_bos: bool = False, spaced: bool = False
    ) -> None:
        self.controls = ("<s>", *controls)
        self.infill = infill
        self.wants_bos = wants_bos
        self.spaced = spaced

    def __len__(self) -> int:
        return 256 + len(self.controls)

    def tokenize(self, text: str, *, special: bool, add_bos: bool) -> list[int]:
        ids = [256] if add_bos and self.wants_bos else []
        if self.spaced and text:
            ids += b" "
        pattern = "(" + "|".join(map(re.escape, self.controls)) + ")"
        for piece in re.split(pattern, text) if special else [text]:
            ids += [256 + self.controls.index(piece)] if special and piece in self.controls else piece.encode()
        return ids

    def piece(self, token: int, *, special: bool = False) -> bytes:
        if token < 256:
            return bytes([token])
        return self.controls[token - 256].encode() if special else b""

    def pieces(self, *, special: bool = True) -> Iterator[bytes]:
        return (self.piece(token, special=special) for token in range(len(self)))


def written(input: Infill, vocabulary: Vocabulary) -> str:
    return b"".join(vocabulary.piece(id, special=True) for id in infill_ids(input, vocabulary)).decode()


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        (QWEN, "<|fim_prefix|>one<|fim_suffix|>two<|fim_middle|>"),
        (("<fim_prefix>", "<fim_suffix>", "<fim_middle>"), "<fim_prefix>one<fim_suffix>two<fim_middle>"),
        (("<fim-prefix>", "<fim-suffix>", "<fim-middle>"), "<fim-prefix>one<fim-suffix>two<fim-middle>"),
        (("<PRE>", "<SUF>", "<MID>", "<EOT>"), "<PRE>one<SUF>two<MID>"),
        (DEEPSEEK, DEEPSEEK[0] + "one" + DEEPSEEK[1] + "two" + DEEPSEEK[2]),
        (("[SUFFIX]", "[PREFIX]"), "[SUFFIX]two[PREFIX]one"),
    ],
)
def test_each_family_has_its_own_tokens(controls: tuple[str, ...], expected: str) -> None:
    vocabulary = Vocabulary(*controls)
    assert written(Infill("one", "two"), vocabulary) == expected
    assert sum(id > 255 for id in infill_ids(Infill("one", "two"), vocabulary)) == len(re.findall("[<[]", expected))


def test_what_the_file_names_goes_first() -> None:
    named = InfillTokens(257, 258, 259)
    vocabulary = Vocabulary("@p", "@s", "@m", *QWEN, infill=named)
    assert written(Infill("one", "two"), vocabulary) == "@pone@stwo@m"


def test_files_of_a_repository() -> None:
    assert written(Infill("one", "two", "be", FILES), Vocabulary(*QWEN)) == (
        "<|repo_name|>myproject\n<|file_sep|>a.h\nint a;\n<|file_sep|>tmp\nint b;\n<|file_sep|>filename\n"
        "<|fim_prefix|>onebe<|fim_suffix|>two<|fim_middle|>"
    )
    assert written(Infill("one", "two", files=()), Vocabulary(*QWEN)) == (
        "<|repo_name|>myproject\n<|file_sep|>filename\n<|fim_prefix|>one<|fim_suffix|>two<|fim_middle|>"
    )


def test_files_without_a_token_for_them() -> None:
    assert written(Infill("one", "two", files=FILES), Vocabulary(*QWEN[:3])) == (
        "\n\n--- snippet ---\n\nint a;\n\n\n--- snippet ---\n\nint b;\n<|fim_prefix|>one<|fim_suffix|>two<|fim_middle|>"
    )
    assert written(Infill("one", "two", files=()), Vocabulary(*QWEN[:3])).startswith("<|fim_prefix|>")


def test_a_text_begins_as_the_model_wants_it() -> None:
    ids = infill_ids(Infill("", "", files=FILES), Vocabulary(*QWEN, wants_bos=True))
    assert (ids[0], ids.count(256)) == (256, 1)


def test_a_space_before_a_spelling_does_not_hide_it() -> None:
    ids = infill_ids(Infill("", ""), Vocabulary("<PRE>", "<SUF>", "<MID>", spaced=True))
    assert ids == [257, 258, 259]


@pytest.mark.parametrize("controls", [(), QWEN[:2], QWEN[3:], ("[PREFIX]",)])
def test_a_model_without_them_says_so(controls: tuple[str, ...]) -> None:
    with pytest.raises(Unsupported, match="cannot fill in the middle"):
        infill_ids(Infill("one", "two"), Vocabulary(*controls))


spelled = st.lists(st.sampled_from([*QWEN, "a", "\n", "é"])).map("".join)


@given(spelled, spelled, spelled, spelled)
def test_tokens_spelled_in_the_texts_are_text(prefix: str, suffix: str, begun: str, other: str) -> None:
    ids = infill_ids(Infill(prefix, suffix, begun, (SourceFile(other, other),)), Vocabulary(*QWEN))
    assert [id for id in ids if id > 255] == [260, 261, 261, 257, 258, 259]
