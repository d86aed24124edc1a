"""What the model is given of a conversation: system prompt, the messages after a cut, files beside their question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from edgellm import messages
from edgellm.errors import RequestError
from edgellm.messages import Message, Part, TextPart
from edgellm.model import ModelInfo
from edgellm.request import ChatRequest, Conversation, SamplingParams
from tui.store.records import Attachment, Cut, Entry, Options, Reply
from tui.store.refusal import Gone

_SUMMARY = "[Summary of the conversation before this message]\n{summary}\n[End of the summary]\n\n"


def conversation(path: Sequence[Entry], options: Options, cut: Cut | None = None) -> Conversation:
    """Answers without words are left out, and questions that then follow each other are one message.

    A summary goes in front of the first message kept: some models know no system message in the middle.
    """
    kept = list(path[left_out(path, cut) :])
    said = [message for message in map(_message, kept) if message.parts]
    if cut is not None and cut.summary and said:
        said[0] = _before(said[0], _SUMMARY.format(summary=cut.summary))
    first = [messages.system(options.system)] if options.system.strip() else []
    return Conversation((*first, *_joined(said)))


def left_out(path: Sequence[Entry], cut: Cut | None) -> int:
    """How many entries at the beginning of `path` the cut takes away."""
    return next((index for index, entry in enumerate(path) if cut and entry.id == cut.first), 0)


def request(input: Conversation, options: Options, info: ModelInfo) -> ChatRequest:
    """With the model's own recommended sampling where `options` name nothing."""
    sampling = msgspec.structs.replace(info.sampling, **options.sampling)
    return ChatRequest(input=input, sampling=sampling, max_tokens=options.max_tokens, thinking=options.thinking)


def carried_over(options: Options) -> Options:
    """What a new conversation takes over from the one before: how words are chosen, not what it was about."""
    return Options(sampling=options.sampling, max_tokens=options.max_tokens, thinking=options.thinking)


def template_args(options: Options) -> dict[str, Any]:
    """What templates are told of it, which changes what a prompt counts."""
    return {} if options.thinking is None else dict.fromkeys(("enable_thinking", "thinking"), options.thinking)


def question(text: str, attachments: Sequence[Attachment]) -> str:
    """Files first, each in a fence longer than any in it, then what is asked of them."""
    return "\n\n".join([*(_file(attachment) for attachment in attachments), text])


def _file(attachment: Attachment) -> str:
    fence = "```"
    while fence in attachment.text:
        fence += "`"
    return f"File {attachment.name}:\n{fence}\n{attachment.text.rstrip()}\n{fence}"


def _message(entry: Entry) -> Message:
    if entry.speaker == "user":
        return messages.user(question(entry.text, entry.attachments))
    if entry.speaker == "tool":
        return Message("tool", entry.results)
    words: tuple[Part, ...] = (TextPart(entry.text),) if entry.text else ()
    return Message("assistant", (*words, *entry.reply.calls))


def _before(message: Message, text: str) -> Message:
    return Message(message.role, (TextPart(text), *message.parts))


def _joined(said: Sequence[Message]) -> list[Message]:
    joined: list[Message] = []
    for message in said:
        if joined and joined[-1].role == message.role == "user":
            joined[-1] = Message("user", (*joined[-1].parts, TextPart("\n\n"), *message.parts))
        else:
            joined.append(message)
    return joined


def refuse_bad(options: Options) -> None:
    """Raises RequestError for sampling that names no parameter, or a value out of range."""
    try:
        params = msgspec.convert(options.sampling, SamplingParams)
    except msgspec.ValidationError as error:
        raise RequestError(f"The sampling settings are wrong: {error}.") from None
    if unknown := set(options.sampling) - set(SamplingParams.__struct_fields__):
        raise RequestError(f"There is no sampling setting {', '.join(sorted(unknown))}.")
    if problem := params.problem():
        raise RequestError(f"The sampling settings are wrong: {problem}.")
    if options.max_tokens is not None and options.max_tokens < 1:
        raise RequestError("The longest answer must have at least 1 token.")


def unsent(text: str, attachments: tuple[Attachment, ...]) -> tuple[Entry, ...]:
    """What is typed, as the message it would be; nothing if nothing is."""
    if not text and not attachments:
        return ()
    reply = Reply(text=text, state="complete")
    return (Entry(id=0, chat=0, parent=None, speaker="user", reply=reply, attachments=attachments),)


def place_of(entry: int, path: Sequence[Entry]) -> int:
    """Its index in `path`. Raises Gone."""
    for index, each in enumerate(path):
        if each.id == entry:
            return index
    raise Gone(f"Message {entry} is not part of the conversation that is shown.")
