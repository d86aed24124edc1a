"""`infill_ids`: the text around a hole, with the model's own tokens for that, as the ids to prefill."""

from __future__ import annotations

from collections.abc import Sequence

from edgellm.backends.base import InfillTokens, Vocabulary
from edgellm.errors import Unsupported
from edgellm.request import Infill, SourceFile

# Spellings of prefix, suffix, middle, repository and file: of models whose files do not say which tokens these are.
_FAMILIES: tuple[tuple[str, str, str, str, str], ...] = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>"),  # Qwen-Coder, CodeGemma
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<repo_name>", "<file_sep>"),  # StarCoder 2
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<reponame>", "<filename>"),  # StarCoder, Granite
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>", "", ""),  # SantaCoder
    (
        "<\uff5cfim\u2581begin\uff5c>",
        "<\uff5cfim\u2581hole\uff5c>",
        "<\uff5cfim\u2581end\uff5c>",
        "",
        "",
    ),  # DeepSeek-Coder
    ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>", "", ""),  # GLM
    ("<PRE>", "<SUF>", "<MID>", "", ""),  # CodeLlama
    ("[PREFIX]", "[SUFFIX]", "", "", ""),  # Codestral
)
# What llama-server says where a name is due and nobody has given one.
_REPOSITORY, _FILE = "myproject\n", "filename\n"
_SEPARATOR = "\n\n--- snippet ---\n\n"


def infill_ids(input: Infill, vocabulary: Vocabulary) -> list[int]:
    """The same ids as llama-server's, but nothing is cut. Control tokens that are spelled out in the texts are text.

    Raises Unsupported for a model without fill-in-the-middle tokens.
    """
    tokens = vocabulary.infill or _spelled(vocabulary)
    if tokens is None:
        raise Unsupported(
            "This model cannot fill in the middle: it has no tokens for that. Leave the suffix out, or use a model "
            "that was taught to, such as Qwen2.5-Coder."
        )

    def ids(text: str) -> list[int]:
        return vocabulary.tokenize(text, special=False, add_bos=False)

    begin = vocabulary.tokenize("", special=False, add_bos=True)
    before = [tokens.prefix, *ids(input.prefix), *ids(input.begun)]
    after = [tokens.suffix, *ids(input.suffix)]
    hole = [*after, *before] if tokens.middle is None else [*before, *after, tokens.middle]
    return begin + [id for part in _files(input.files, tokens) for id in _ids(part, vocabulary)] + hole


def _files(files: Sequence[SourceFile] | None, tokens: InfillTokens) -> list[int | str]:
    """What comes before the hole's own file, as tokens and texts."""
    if files is None:
        return []
    parts: list[int | str] = [] if tokens.repository is None else [tokens.repository, _REPOSITORY]
    for file in files:
        parts += [_SEPARATOR] if tokens.file is None else [tokens.file, f"{file.name}\n"]
        parts.append(file.text)
    return parts if tokens.file is None else [*parts, tokens.file, _FILE]


def _ids(part: int | str, vocabulary: Vocabulary) -> list[int]:
    return [part] if isinstance(part, int) else vocabulary.tokenize(part, special=False, add_bos=False)


def _spelled(vocabulary: Vocabulary) -> InfillTokens | None:
    """The tokens of the first family whose spellings the vocabulary has as single tokens."""
    for *needed, repository, file in _FAMILIES:
        prefix, suffix, middle = (_token(spelling, vocabulary) for spelling in needed)
        if prefix is not None and suffix is not None and (middle is not None or not needed[2]):
            return InfillTokens(prefix, suffix, middle, _token(repository, vocabulary), _token(file, vocabulary))
    return None


def _token(spelling: str, vocabulary: Vocabulary) -> int | None:
    ids = vocabulary.tokenize(spelling, special=True, add_bos=False) if spelling else []
    # A tokenizer of SentencePiece may put a space before a text.
    found = ids[-1:] if ids and not any(vocabulary.piece(token).strip() for token in ids[:-1]) else []
    whole = found and vocabulary.piece(found[0], special=True).decode("utf-8", "replace").strip() == spelling
    return found[0] if whole else None
