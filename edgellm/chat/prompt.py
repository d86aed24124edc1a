"""`render_input`: whatever a request asks to go on from, as the exact token ids to prefill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgellm.backends.base import Vocabulary
from edgellm.chat.guard import Guard
from edgellm.chat.infill import infill_ids
from edgellm.chat.template import ChatTemplate
from edgellm.errors import RequestError
from edgellm.messages import Tool
from edgellm.request import Conversation, Infill, Input, Prompt, TokenIds


def render_input(
    input: Input,
    template: ChatTemplate,
    vocabulary: Vocabulary,
    tools: Sequence[Tool] = (),
    template_args: Mapping[str, Any] | None = None,
) -> list[int]:
    """At least one id. Raises RequestError (or what `ChatTemplate.render` raises) for what cannot be a prompt.

    In a raw prompt control tokens that are written out count as such: it is the caller's own text. In a conversation
    only the template's do, as far as `_conversation` can tell them apart.
    """
    try:
        ids = _ids(input, template, vocabulary, tools, template_args)
    except UnicodeEncodeError as error:
        raise RequestError(f"The text is not valid Unicode (half of a surrogate pair at {error.start}).") from error
    except RecursionError as error:
        raise RequestError("A tool or a tool call is nested too deeply; make its JSON flatter.") from error
    if not ids:
        raise RequestError("The prompt is empty; give the model at least one token to go on from.")
    return ids


def _ids(
    input: Input,
    template: ChatTemplate,
    vocabulary: Vocabulary,
    tools: Sequence[Tool],
    template_args: Mapping[str, Any] | None,
) -> list[int]:
    match input:
        case Conversation():
            return _conversation(input, template, vocabulary, tools, template_args)
        case Prompt(text=text, bare=bare):
            return vocabulary.tokenize(text, special=True, add_bos=not bare)
        case TokenIds(ids=ids):
            return _known(ids, len(vocabulary))
        case Infill():
            return infill_ids(input, vocabulary)


def _known(ids: Sequence[int], size: int) -> list[int]:
    unknown = next((token for token in ids if not 0 <= token < size), None)
    if unknown is not None:
        raise RequestError(f"Token id {unknown} is not in this model's vocabulary of {size}.")
    return list(ids)


def _conversation(
    conversation: Conversation,
    template: ChatTemplate,
    vocabulary: Vocabulary,
    tools: Sequence[Tool],
    template_args: Mapping[str, Any] | None,
) -> list[int]:
    """The rendered text's ids, with control tokens from the template but not from inside messages and tools.

    As a rule this is llama-server's way (all of the text at once) and the ids are the same. Only where a control token
    of the result is spelled out in a message is the text rendered again with that spelling broken, until none is left.
    Two limits: a tokenizer that puts a space before a text (SentencePiece) then puts one at the break too; and a
    template that takes a piece out of a message's middle could join a control token that no check sees.
    """

    def render(guard: Guard) -> str:
        return template.render(
            guard.messages(conversation.messages),
            tools=guard.tools(tools),
            continue_last=conversation.continue_last,
            template_args=template_args,
        )

    text = render(Guard((), ""))
    mark = _unused_mark(text)
    broken: set[str] = set()
    ids = _tokenize([text], vocabulary)
    while spelled := _spelled(_controls(ids, vocabulary) - broken, conversation, tools):
        broken |= spelled
        ids = _tokenize(render(Guard(broken, mark)).split(mark), vocabulary)
    return ids


def _tokenize(pieces: Sequence[str], vocabulary: Vocabulary) -> list[int]:
    """All `pieces` after each other; BOS only before the first, and only where the text does not bring its own."""
    bos = "" if vocabulary.bos is None else vocabulary.piece(vocabulary.bos, special=True).decode("utf-8", "replace")
    add_bos = not (bos and pieces[0].startswith(bos))
    ids = vocabulary.tokenize(pieces[0], special=True, add_bos=add_bos)
    for piece in pieces[1:]:
        ids += vocabulary.tokenize(piece, special=True, add_bos=False)
    return ids


def _controls(ids: Sequence[int], vocabulary: Vocabulary) -> set[str]:
    """The texts of the control tokens among `ids`: those that are text only when asked for."""
    silent = [token for token in set(ids) if not vocabulary.piece(token)]
    return {vocabulary.piece(token, special=True).decode("utf-8", "replace") for token in silent}


def _spelled(controls: set[str], conversation: Conversation, tools: Sequence[Tool]) -> set[str]:
    """Those of `controls` that a message or a tool spells out."""
    return {text for text in controls if _changes(Guard((text,), "\ue0ec"), conversation, tools)}


def _changes(guard: Guard, conversation: Conversation, tools: Sequence[Tool]) -> bool:
    return guard.messages(conversation.messages) != conversation.messages or guard.tools(tools) != tuple(tools)


def _unused_mark(text: str) -> str:
    mark = "\ue0ec"
    while mark in text:
        mark += "\ue0ec"
    return mark
