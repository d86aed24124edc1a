"""The messages between a `ProcessModel` and its worker, each in a frame: 4-byte little-endian length, then msgpack."""

from __future__ import annotations

import struct
from typing import Any, Generic, TypeVar

import msgspec

from edgellm.events import Event
from edgellm.messages import Tool
from edgellm.model import ModelInfo, ModelStatus
from edgellm.request import ChatRequest, Input

MAX_FRAME = 64 << 20
"""Bytes one frame may hold; more is a damaged stream, or a request nobody should send."""

WINDOW = 256
"""Events of one stream that may be on their way before its reader must have taken some."""


class FrameError(ValueError):
    """Bytes that are no frame, or a message that does not fit in one; never leaves `runtime`."""


class WorkerSpec(msgspec.Struct, frozen=True):
    """Which `Model` a worker hosts: `factory` is `module:function`, called with `arguments` (msgpack values only).

    `growth` is the memory, in bytes, that the model may take for caches of its own once it is loaded.
    """

    factory: str
    arguments: dict[str, Any] = {}
    growth: int = 0


class Load(msgspec.Struct, frozen=True, array_like=True, tag="load"):
    """Make the model and start it; the first message, sent once."""

    spec: WorkerSpec


class Stream(msgspec.Struct, frozen=True, array_like=True, tag="stream"):
    """Answer `request`; the worker may send `WINDOW` events of it before it has further `Credit`."""

    id: int
    request: ChatRequest


class Credit(msgspec.Struct, frozen=True, array_like=True, tag="credit"):
    """The reader took `events` more events of this stream."""

    id: int
    events: int


class Tokenize(msgspec.Struct, frozen=True, array_like=True, tag="tokenize"):
    id: int
    input: Input
    template_args: dict[str, Any] | None
    tools: tuple[Tool, ...] = ()


class Pieces(msgspec.Struct, frozen=True, array_like=True, tag="pieces"):
    """The bytes of these tokens, as in `Model.pieces`."""

    id: int
    ids: list[int]


class Status(msgspec.Struct, frozen=True, array_like=True, tag="status"):
    id: int


class Embed(msgspec.Struct, frozen=True, array_like=True, tag="embed"):
    """Texts, or their token ids, to vectors; as in `Embedder.embed`. `first` is the number of the first of them."""

    id: int
    inputs: list[str | list[int]]
    dimensions: int | None
    truncate: bool
    first: int


class Rank(msgspec.Struct, frozen=True, array_like=True, tag="rank"):
    """As in `Embedder.rerank`; `first` is the number of the first document."""

    id: int
    query: str
    documents: list[str]
    raw: bool
    truncate: bool
    first: int


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    """Nobody waits for this stream or reply any more."""

    id: int


class Close(msgspec.Struct, frozen=True, array_like=True, tag="close"):
    """Close the model and exit."""


class Loaded(msgspec.Struct, frozen=True, array_like=True, tag="loaded"):
    info: ModelInfo


class LoadFailed(msgspec.Struct, frozen=True, array_like=True, tag="load_failed"):
    """An `EdgeLLMError`, as `errors.from_code` takes it; the worker exits after it."""

    code: str
    message: str
    details: dict[str, float]


class EventFrame(msgspec.Struct, frozen=True, array_like=True, tag="events"):
    """The next events of one stream, as many as there were at once."""

    id: int
    events: list[Event]


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="ended"):
    """The stream has no more events."""

    id: int


class Raised(msgspec.Struct, frozen=True, array_like=True, tag="raised"):
    """The stream or call ended with an `EdgeLLMError`, as `errors.from_code` takes it."""

    id: int
    code: str
    message: str
    details: dict[str, float]


class Reply(msgspec.Struct, frozen=True, array_like=True, tag="reply"):
    """What `Tokenize` or `Status` asked for."""

    id: int
    value: list[int] | ModelStatus


class Spelled(msgspec.Struct, frozen=True, array_like=True, tag="spelled"):
    """What `Pieces` asked for."""

    id: int
    pieces: list[bytes]


class Numbers(msgspec.Struct, frozen=True, array_like=True, tag="numbers"):
    """What `Embed` or `Rank` asked for: little-endian float32, a row an input, and the tokens of each.

    `dropped` tokens were cut off in all.
    """

    id: int
    data: bytes
    tokens: list[int]
    dropped: int


Call = Tokenize | Pieces | Status | Embed | Rank
"""What is answered at once and whole, with `Reply`, `Spelled` or `Numbers`."""

ToWorker = Load | Stream | Credit | Tokenize | Pieces | Status | Embed | Rank | Cancel | Close
FromWorker = Loaded | LoadFailed | EventFrame | Ended | Raised | Reply | Spelled | Numbers

_HEAD = struct.Struct("<I")
_encoder = msgspec.msgpack.Encoder()


def append(buffer: bytearray, message: ToWorker | FromWorker) -> None:
    """Add `message` to `buffer` as one frame; on `FrameError` the buffer is as it was."""
    start = len(buffer)
    try:
        buffer += b"\0\0\0\0"
        _encoder.encode_into(message, buffer, start + _HEAD.size)
        size = len(buffer) - start - _HEAD.size
        if size > MAX_FRAME:
            raise FrameError(f"it is {size / 2**20:.0f} MiB; at most {MAX_FRAME >> 20} MiB fit")
        _HEAD.pack_into(buffer, start, size)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        del buffer[start:]
        raise error if isinstance(error, FrameError) else FrameError(str(error)) from error


M = TypeVar("M")


class FrameDecoder(Generic[M]):
    """Cuts a stream of bytes, however chopped, into the messages of the union `kind`."""

    def __init__(self, kind: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(kind)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[M]:
        """The messages that `data` completes. After a `FrameError` the stream is lost: feed no more."""
        self._buffer += data
        messages: list[M] = []
        start = 0
        with memoryview(self._buffer) as view:
            while (body := start + _HEAD.size) <= len(view):
                (size,) = _HEAD.unpack_from(view, start)
                if size > MAX_FRAME:
                    raise FrameError(f"a frame claims {size} bytes")
                if body + size > len(view):
                    break
                messages.append(self._decode(view[body : body + size]))
                start = body + size
        del self._buffer[:start]
        return messages

    def _decode(self, body: memoryview) -> M:
        try:
            return self._decoder.decode(body)
        except (ValueError, RecursionError) as error:  # msgspec's DecodeError is a ValueError
            raise FrameError(f"a frame is damaged: {error}") from error
