"""The vocabulary of a model's folder: `tokenizer.json` for ids and bytes, the files beside it for template and ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from edgellm.backends.base import InfillTokens
from edgellm.errors import LoadError, NotAModel, RequestError

TOKENIZER = "tokenizer.json"
_LARGEST = 2**28
_LONGEST_TEXT = 2**29
_LEAST_PART = 0.5
"""Of the model's logits, that some token stands for: models are padded by little."""
_END_NAMES = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|eom_id|>", "<|endoftext|>", "</s>", "<eos>")
_INFILL = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
)
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>\Z")


class FolderVocabulary:
    """Immutable; safe to use from any thread. `size` is the width of the model's logits, perhaps more than tokens.

    Of tokens added to a tokenizer some may be beyond what the model knows; a text that needs them is refused.
    """

    def __init__(self, folder: Path, size: int = 0) -> None:
        """Raises NotAModel or LoadError."""
        path = self._path = folder / TOKENIZER
        described = _json(path, required=True)
        # Written-out control tokens count as text for one of the two: the switch is for a whole tokenizer.
        self._reading, self._plain = _tokenizer(path), _tokenizer(path)
        self._plain.encode_special_tokens = True
        settings = _json(folder / "tokenizer_config.json")
        added = {int(entry["id"]): entry for entry in described.get("added_tokens") or []}
        known = self._reading.get_vocab_size(with_added_tokens=True)
        self._size = size or known
        if self._reading.get_vocab_size(with_added_tokens=False) > self._size or known < _LEAST_PART * self._size:
            raise NotAModel(
                f"{path} has {known:,} tokens and the model {self._size:,}: it is that of another one. "
                "Download the whole folder of the model again."
            )
        self._control = {token: str(entry["content"]) for token, entry in added.items() if entry.get("special")}
        self._added = {token: str(entry["content"]) for token, entry in added.items()}
        self._bytes = _spelling(described)
        self._template = _template(folder, settings)
        self._starts = self._reading.encode("").ids[:1]
        self._bos = self._named(settings.get("bos_token"))
        self._eos = self._named(settings.get("eos_token"))
        self._ends = self._end_ids(folder)
        self._infill = self._infill_tokens()
        self._pieces: dict[int, bytes] = {}

    def __len__(self) -> int:
        return int(self._size)

    @property
    def bos(self) -> int | None:
        return self._bos

    @property
    def eos(self) -> int | None:
        return self._eos

    @property
    def end_tokens(self) -> frozenset[int]:
        return self._ends

    @property
    def template(self) -> str | None:
        return self._template

    @property
    def infill(self) -> InfillTokens | None:
        return self._infill

    def tokenize(self, text: str, *, special: bool, add_bos: bool) -> list[int]:
        """Half a surrogate pair counts as U+FFFD. Raises RequestError on a text that is far too long."""
        if len(text) > _LONGEST_TEXT:
            raise RequestError(f"a text of {len(text):,} characters is too long. Send a shorter one.")
        sound = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        ids: list[int] = (self._reading if special else self._plain).encode(sound, add_special_tokens=False).ids
        if ids and max(ids) >= self._size:
            raise RequestError("The text has a token that this model does not know. Leave control tokens out of it.")
        starts = self._starts if add_bos and self._starts == [self._bos] else []
        return ids if ids[:1] == starts else starts + ids

    def check(self, width: int) -> None:
        """Raises NotAModel where the model computes so many logits, and not as many as its settings say."""
        if width != self._size:
            raise NotAModel(
                f"{self._path.parent} is of two models: it computes {width:,} logits, and its settings tell of "
                f"{self._size:,} tokens. Download it again."
            )

    def piece(self, token: int, *, special: bool = False) -> bytes:
        assert 0 <= token < self._size, token
        if token in self._control:
            return self._control[token].encode() if special else b""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._read(token)
        return known

    def pieces(self, *, special: bool = True) -> Iterator[bytes]:
        for token in range(self._size):
            yield self.piece(token, special=special) if token in self._control else self._read(token)

    def _read(self, token: int) -> bytes:
        if token in self._added:
            return self._added[token].encode()
        text = self._reading.id_to_token(token)
        return b"" if text is None else self._bytes(text)

    def _named(self, name: Any) -> int | None:
        content = name.get("content") if isinstance(name, dict) else name
        token = self._reading.token_to_id(content) if isinstance(content, str) else None
        return int(token) if token is not None and token < self._size else None

    def _end_ids(self, folder: Path) -> frozenset[int]:
        """As the model's files say, and what every chat model ends with where its vocabulary has it."""
        found = {self._eos}
        for name in ("config.json", "generation_config.json"):
            said = _json(folder / name).get("eos_token_id")
            found.update(said if isinstance(said, list) else [said])
        found.update(self._reading.token_to_id(name) for name in _END_NAMES)
        return frozenset(token for token in found if isinstance(token, int) and 0 <= token < self._size)

    def _infill_tokens(self) -> InfillTokens | None:
        for names in _INFILL:
            prefix, suffix, middle = map(self._named, names)
            if prefix is not None and suffix is not None and middle is not None:
                others = map(self._named, ("<|repo_name|>", "<|file_sep|>"))
                return InfillTokens(prefix, suffix, middle, *others)
        return None


def _tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exceptions
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NotAModel(f"{path} is damaged: {reason}. Download the model again.") from error


def _json(path: Path, *, required: bool = False) -> dict[str, Any]:
    """The object in the file; {} where an optional file is missing or is none."""
    try:
        if path.stat().st_size > _LARGEST:
            raise NotAModel(f"{path} is too large to be what its name says. Download the model again.")
        found = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        if required:
            raise NotAModel(f"{path.parent} has no {path.name}. Download the whole folder of the model.") from None
        return {}
    except OSError as error:
        raise LoadError(f"cannot read {path}: {error.strerror or error}. Check its permissions.") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if required:
            raise NotAModel(f"{path} is damaged: {error}. Download the model again.") from error
        return {}
    return found if isinstance(found, dict) else {}


def _template(folder: Path, settings: dict[str, Any]) -> str | None:
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8", errors="replace")
    said = settings.get("chat_template")
    if isinstance(said, list):
        named = {str(entry.get("name")): entry.get("template") for entry in said if isinstance(entry, dict)}
        said = named.get("default") or next(iter(named.values()), None)
    return said if isinstance(said, str) else None


def _spelling(described: dict[str, Any]) -> Any:
    """How this tokenizer writes bytes in its tokens: as GPT-2 does, or as SentencePiece."""
    kinds = set(_types(described.get("decoder"))) | set(_types(described.get("pre_tokenizer")))
    return _gpt2_bytes if "ByteLevel" in kinds else _sentencepiece_bytes


def _types(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield str(node.get("type"))
        for value in node.values():
            yield from _types(value)
    elif isinstance(node, list):
        for value in node:
            yield from _types(value)


def _alphabet() -> dict[str, int]:
    """GPT-2's characters for bytes: printable ones stand for themselves, the rest follow from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}


_ALPHABET = _alphabet()


def _gpt2_bytes(text: str) -> bytes:
    if all(character in _ALPHABET for character in text):
        return bytes(_ALPHABET[character] for character in text)
    return text.encode()


def _sentencepiece_bytes(text: str) -> bytes:
    found = _BYTE.match(text)
    return bytes([int(found[1], 16)]) if found else text.replace("\u2581", " ").encode()
