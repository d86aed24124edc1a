"""`Flow`: how a family of models lays out an answer, and the parser that follows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from edgellm.chat.reasoning import THINK, ThinkingTags
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.parser import (
    CallArguments,
    CallBroken,
    CallEnd,
    CallStart,
    Content,
    ParserContext,
    Piece,
    Thought,
)
from edgellm.chat.tools.reader import Marks, Mismatch, Reader, Steps, marks, through

# Reads one call or several after the mark that opened them. Raises Mismatch where the rest is no call.
Calls = Callable[[Reader, DeclaredTools], Steps[None]]


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """Content with thoughts at its beginning and calls anywhere.

    `openings`: what follows each mark. `bare`: calls without a mark, possible only where the content begins.
    `closings`: what may be left over behind a call, and is dropped. `dropped`: marks that never count as content;
    `preamble`: what does not where the content begins. `calls_end_thoughts`: models forget to close their thoughts
    before they call. `thoughts_anywhere`: not only at the beginning. `reads`: in place of all this, another way.
    """

    openings: Mapping[str, Calls] = {}
    bare: Calls | None = None
    closings: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    preamble: tuple[str, ...] = ()
    thinking: ThinkingTags | None = None
    calls_end_thoughts: bool = False
    thoughts_anywhere: bool = False
    reads: Callable[[Reader, Flow, ParserContext], Steps[None]] | None = None


class StepsParser:
    """A `Parser` out of a generator that reads the text and yields its pieces."""

    def __init__(self, steps: Callable[[Reader], Steps[None]]) -> None:
        self._reader = Reader()
        self._steps = steps(self._reader)

    def feed(self, text: str) -> list[Piece]:
        self._reader.push(text)
        return self._advance() if text else []

    def finish(self) -> list[Piece]:
        self._reader.end()
        return self._advance()

    def _advance(self) -> list[Piece]:
        pieces: list[Piece] = []
        run: list[Piece] = []
        for piece in self._steps:
            if piece is None:
                break
            if (run and type(piece) is not type(run[0])) or isinstance(piece, CallStart | CallEnd):
                pieces += _joined(run)
                run = []
            run.append(piece)
        return [*pieces, *_joined(run)]


def _joined(run: list[Piece]) -> list[Piece]:
    """Neighbours of one kind as one piece; nothing for empty text."""
    texts = [piece.text for piece in run if isinstance(piece, Content | Thought | CallArguments)]
    if len(texts) < len(run):
        return run
    text = "".join(texts)
    return [msgspec.structs.replace(run[0], text=text)] if text else []


class Prose:
    """Text that is given on as it comes, but for white space at its end, and at its beginning while `fresh`."""

    def __init__(self, piece: type[Content] | type[Thought], fresh: bool = False) -> None:
        self.fresh = fresh
        self._piece = piece
        self._given = False
        self._held: list[str] = []

    def __call__(self, text: str) -> list[Piece]:
        if self.fresh:
            text = text.lstrip()
        kept = text.rstrip()
        if not kept:
            self._held.append(text)
            return []
        pieces: list[Piece] = [self._piece("".join(self._held) + kept)]
        self.fresh, self._given = False, True
        self._held = [text[len(kept) :]]
        return pieces

    def rest(self) -> list[Piece]:
        text = "" if self.fresh else "".join(self._held)
        self._held.clear()
        return [self._piece(text)] if text else []

    def again(self) -> None:
        """A new text of the same kind begins; an empty line sets it off."""
        self.fresh = True
        self._held = ["\n\n"] if self._given else []

    def interrupt(self) -> None:
        """Something else comes between: white space on both sides of it is nobody's."""
        self._held.clear()
        self.fresh = True


class FlowReader:
    """One answer read along a `Flow`."""

    def __init__(self, reader: Reader, flow: Flow, context: ParserContext) -> None:
        self._reader = reader
        self._flow = flow
        self._early = context.early or context.forced
        self._enforced = context.enforced
        self._thinking_open = context.thinking_open
        self._thinking = (flow.thinking or THINK) if context.split_thinking else None
        self._tools = DeclaredTools(context.tools, forced=context.forced)
        self._calls = context.parse_tools and bool(context.tools)
        self._openings = flow.openings if self._calls else {}
        self._bare = flow.bare if self._calls else None
        self._calls_end_thoughts = flow.calls_end_thoughts or context.forced
        self._called = False

    def answer(self) -> Steps[None]:
        prose = Prose(Content)
        yield from prose((yield from self._reader.space()))
        if self._thinking and (self._thinking_open or (yield from self._reader.skip(self._thinking.opening))):
            prose.interrupt()
            yield from self._thoughts(self._thinking)
        yield from self._content(prose)
        yield from prose.rest()

    def _thoughts(self, tags: ThinkingTags) -> Steps[None]:
        prose = Prose(Thought, fresh=True)
        yield from self._reader.space()
        yield from self._reader.skip(tags.opening)  # some say again what the prompt said
        sought = marks(tags.closing, *(self._openings if self._calls_end_thoughts else ()))
        while mark := (yield from through(self._reader.before(sought), prose)):
            if mark == tags.closing or (yield from self._attempt(self._openings[mark], prose, mark)):
                return

    def _content(self, prose: Prose) -> Steps[None]:
        yield from prose((yield from self._reader.space()))
        yield from self._reader.skip(*self._flow.preamble, *([self._thinking.closing] if self._thinking else []))
        if self._bare:
            yield from self._attempt(self._bare, prose)
        mark = "-"
        while mark:
            mark = yield from through(self._reader.before(self._sought()), prose)
            if calls := self._openings.get(mark):
                yield from self._attempt(calls, prose, mark)
            elif self._thinking and mark == self._thinking.opening:
                prose.interrupt()
                yield from self._thoughts(self._thinking)

    def _sought(self) -> Marks:
        thoughts = (self._thinking.opening,) if self._thinking and self._flow.thoughts_anywhere else ()
        closings = self._flow.closings if self._called else ()
        return marks(*thoughts, *self._openings, *self._flow.dropped, *closings)

    def _attempt(self, calls: Calls, prose: Prose, mark: str = "") -> Steps[bool]:
        """Whether a call, at least, came of it. What is none goes to `prose`."""
        held: list[Piece] = []
        done = False
        early = self._early or (mark != "" and mark == self._enforced)
        self._reader.record(mark)
        try:
            for piece in calls(self._reader, self._tools):
                if piece is None:
                    yield None
                    continue
                held.append(piece)
                if early:
                    prose.interrupt()
                    yield piece
                if isinstance(piece, CallEnd):
                    done = self._called = True
                    if not early:
                        prose.interrupt()
                        yield from held
                    held.clear()
                    self._reader.record()
        except Mismatch:
            text = self._reader.taken()
            yield from [CallBroken(text)] if held and early else prose(text)
        else:
            self._reader.taken()
        return done


def flow_parser(flow: Flow, context: ParserContext) -> StepsParser:
    if flow.reads:
        reads = flow.reads
        return StepsParser(lambda reader: reads(reader, flow, context))
    return StepsParser(lambda reader: FlowReader(reader, flow, context).answer())
