"""The chat's state machine: what a person asks of a conversation, done through a `Model` and a `Store`.

Knows no Textual. All methods are called in one event loop; listeners are called there too, and must be quick.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from edgellm.errors import EdgeLLMError, RequestError
from edgellm.model import Model
from tui import counting, notices, prompting, standing
from tui.answering import Answering
from tui.answers import Answers
from tui.background import Background
from tui.counting import too_long
from tui.fitting import Fitting
from tui.loading import Loading
from tui.notices import Meter, Notice, Offer, State
from tui.store import chats, cuts, entries, posting
from tui.store.records import Attachment, Chat, Entry, Options
from tui.store.refusal import StoreError
from tui.store.store import Store
from tui.telling import Telling
from tui.titling import Titling


class Controller:
    """`chat` None is a new conversation: it is stored when its first message is sent.

    Answers of a conversation go on when another one is opened; `state`, `path` and `meter` are those of the
    conversation shown. Store errors are raised by the methods; the model's become the state `failed`.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.chat: Chat | None = None
        self.path: tuple[Entry, ...] = ()
        self.options = Options()
        self.meter: Meter | None = None
        self.offers: tuple[Offer, ...] = ()
        self._telling = Telling()
        self.listen, self._tell = self._telling.listen, self._telling.tell
        self._loading = Loading(self._loaded, self._tell)
        self._answers = Answers(store, self._tell_of, self._answered)
        self._fitting = Fitting(store, self._tell_state)
        self._titling = Titling(store, self._changed)
        self._background = Background(self._tell)
        self._deleted: list[int] = []
        self._closing = False
        self._one_at_a_time = asyncio.Lock()

    @property
    def model(self) -> Model | None:
        return self._loading.model

    @property
    def state(self) -> State:
        return self._now()[0]

    @property
    def detail(self) -> str:
        """What loads or went wrong."""
        return self._now()[1]

    def expect(self, coming: bool) -> None:
        """Whether a model is on its way to `use`: messages wait for it, and none is missing yet."""
        self._loading.expected = coming
        self._tell_state()

    async def use(self, model: Model) -> None:
        """Answer with `model` from now on and load it in the background; running answers end with their own model.

        The model that was used before is not closed: whoever made it does that.
        """
        await self._loading.use(model)

    async def new(self) -> None:
        """Show a new, empty conversation, with the options of the one before but for its system prompt."""
        async with self._one_at_a_time:
            self.options = prompting.carried_over(self.options)
            await self._show(None, ())

    async def open(self, chat: int, entry: int | None = None) -> None:
        """Show a conversation, on the branch of `entry` if given (as a found message). Raises Gone."""
        async with self._one_at_a_time:
            await self._open(chat, entry)

    async def resume_last(self) -> bool:
        """Show the conversation that was last written in; False (and a new one) if there is none."""
        async with self._one_at_a_time:
            last = await self.store.read(chats.last)
            await (self._show(None, ()) if last is None else self._open(last.id))
            return last is not None

    async def send(self, text: str, attachments: tuple[Attachment, ...] = ()) -> None:
        """Store the message, then begin the answer; returns as soon as both are under way.

        While the model loads, the answer waits for it. Without room in the context, nothing is generated and
        `Outgrown` tells so. A running answer of this conversation is stopped first.
        """
        async with self._one_at_a_time:
            await self.stop()
            await self._post(self.path[-1].id if self.path else None, text, attachments)
            await self._answer(self._shown(), self.path)

    @property
    def summing(self) -> bool:
        """Whether a summary is being written; `stop` ends that too."""
        return self._fitting.running

    async def stop(self) -> None:
        """End the running answer of the conversation shown, keeping what there is of it."""
        self._fitting.stop()
        if self.chat is not None:
            if running := self._answers.of(self.chat):
                running.stopping = True
                self._tell_state()
            await self._answers.stop(self.chat.id)
        self._tell_state()

    async def regenerate(self, entry: int | None = None) -> None:
        """Answer again, in a branch beside the answer `entry` (default: the last one)."""
        async with self._one_at_a_time:
            await self._again(entry)

    async def edit(self, entry: int, text: str, attachments: tuple[Attachment, ...] | None = None) -> None:
        """Send the user's message `entry` again in other words, in a branch beside it; None keeps its attachments."""
        async with self._one_at_a_time:
            await self.stop()
            index = prompting.place_of(entry, self.path)
            old = self.path[index]
            self.path = self.path[:index]
            await self._post(old.parent, text, old.attachments if attachments is None else attachments, redraw=True)
            await self._answer(self._shown(), self.path)

    async def retry(self) -> None:
        """After `failed`: load the model again if that failed, then answer the last message again."""
        async with self._one_at_a_time:
            if self._loading.error:
                self._loading.restart()
            failed = self.chat and self.chat.id in self._answers.errors.keys() | self._answers.wanted
            if failed and not self._loading.error:
                await self._again(None)

    async def switch(self, entry: int, step: int) -> None:
        """Show the sibling of `entry` that is `step` places further (1 or -1), where it was last left."""
        async with self._one_at_a_time:
            path = await self.store.write(entries.switch, entry, step)
            await self._show(await self.store.read(chats.get, self._shown().id), path)

    async def choose(self, offer: Offer, summary: str = "") -> None:
        """Make the conversation fit in this way, and answer.

        Without a `summary`, an offer of one only has it written, to be read: `Summarized` tells it; `stop` ends that.
        """
        async with self._one_at_a_time:
            await self._choose(self._shown(), offer, summary)

    @property
    def cut(self) -> bool:
        """Whether something is left out of what the model is given, or will be."""
        return self.options.overflow == "window" or (self.meter is not None and self.meter.left_out > 0)

    async def uncut(self) -> None:
        """Give the model the whole conversation again; if it does not fit, the next message tells so."""
        async with self._one_at_a_time:
            self._changed(await self.store.write(cuts.take_back, self._shown().id))
            await self.measure()

    async def rename(self, title: str, chat: int | None = None) -> None:
        """Give a conversation (default: the one shown) a title that the model will not change."""
        self._changed(await self.store.write(chats.set_title, self._id(chat), title.strip(), "user"))

    async def pin(self, pinned: bool, chat: int | None = None) -> None:
        """Keep a conversation (default: the one shown) on top of the list, or no longer."""
        self._changed(await self.store.write(chats.set_pinned, self._id(chat), pinned))
        self._tell(notices.ListChanged())

    async def delete(self, chat: int | None = None) -> None:
        """Take a conversation off the list; `undo` brings it back, and it is destroyed after a month at the soonest."""
        id = self._id(chat)
        async with self._one_at_a_time:
            await self._answers.stop(id)
            gone = await self.store.write(chats.delete, id)
            self._deleted.append(id)
            if self.chat is not None and self.chat.id == id:
                await self._show(None, ())
            self._tell(notices.Deleted(gone))
            self._tell(notices.ListChanged())

    @property
    def can_undo(self) -> bool:
        return bool(self._deleted)

    async def undo(self) -> Chat | None:
        """Bring back the conversation deleted last by this app, and show it; None if there is none."""
        async with self._one_at_a_time:
            if not self._deleted:
                return None
            chat = await self.store.write(chats.restore, self._deleted.pop())
            self._tell(notices.ListChanged())
            await self._open(chat.id)
            return chat

    async def configure(self, **changes: Any) -> None:
        """Change fields of `Options` of the conversation shown. Raises RequestError for sampling out of range."""
        options = msgspec.structs.replace(self.options, **changes)
        prompting.refuse_bad(options)
        self.options = options
        if self.chat is not None:
            self._changed(await self.store.write(chats.set_options, self.chat.id, options))
        await self.measure()

    async def measure(self, draft: str = "", attachments: tuple[Attachment, ...] = ()) -> Meter | None:
        """Count the tokens of the next prompt, with an unsent `draft`, exactly; tells listeners too."""
        chat, meter = self.chat, None
        if self.model is not None and self._loading.ready:
            path = (*self.path, *prompting.unsent(draft, attachments))
            meter = await counting.meter_or_none(await self._fitting.prompt(self.model, self.options, path))
        if chat is self.chat:
            self._tell_meter(meter)
        return meter

    async def settled(self) -> None:
        """Wait until nothing runs in the background: no answer, no title, no loading."""
        while self._loading.running or self._answers.running or self._background.running or self._titling.running:
            await self._loading.settled()
            await self._titling.settled()
            await self._answers.settled()
            await self._background.settled()
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Stop all answers and keep what there is of them. The store and the model stay open. Idempotent."""
        self._closing = True
        self._fitting.stop()
        await self._titling.cancel()
        await self._loading.give_up()
        await self._answers.stop_all()
        await self.settled()

    def _now(self) -> tuple[State, str]:
        return standing.of(self.chat, self._loading, self._answers, self._fitting)

    def _tell_of(self, chat: int, notice: Notice) -> None:
        """What an answer tells, while its conversation is shown; warnings always."""
        if self._is_shown(chat) or isinstance(notice, notices.Warned):
            self._tell(notice)

    def _tell_meter(self, meter: Meter | None) -> None:
        self.meter = meter
        self._tell(notices.MeterChanged(meter))

    def _tell_state(self) -> None:
        self._telling.tell_state(self._now())

    def _changed(self, chat: Chat) -> None:
        if self._is_shown(chat.id):
            self.chat, self.options = chat, chat.options
        self._tell(notices.ChatChanged(chat))

    def _shown(self) -> Chat:
        if self.chat is None:
            raise RequestError("There is no conversation yet. Send a message first.")
        return self.chat

    def _is_shown(self, chat: int) -> bool:
        return self.chat is not None and self.chat.id == chat

    def _id(self, chat: int | None) -> int:
        return self._shown().id if chat is None else chat

    async def _open(self, chat: int, entry: int | None = None) -> None:
        found = await self.store.read(chats.get, chat)
        if entry is None:
            await self._show(found, await self.store.read(entries.path, chat))
        else:
            await self._show(found, await self.store.write(entries.show, entry))

    async def _show(self, chat: Chat | None, path: tuple[Entry, ...]) -> None:
        self.chat, self.meter, self.offers = chat, None, ()
        running = self._answers.of(self.chat)
        self.path = tuple(running.now() if running and each.id == running.entry.id else each for each in path)
        self.options = self.options if chat is None else chat.options
        self._tell(notices.ChatShown(chat, self.path))
        self._tell_state()
        self._background.begin(self.measure())

    async def _post(
        self, parent: int | None, text: str, attachments: tuple[Attachment, ...], redraw: bool = False
    ) -> None:
        """Store the user's message, at the end of the path."""
        if self.chat is None:
            name = self.model.info.name if self.model else ""
            chat, entry = await self.store.write(posting.begin, text, attachments, self.options, name)
        else:
            chat, entry = await self.store.write(posting.post, self.chat.id, parent, text, attachments)
        fresh, self.chat, self.path = self.chat is None, chat, (*self.path, entry)
        self._tell(notices.ChatShown(chat, self.path) if redraw or fresh else notices.EntryAdded(entry))
        self._tell(notices.ListChanged() if fresh else notices.ChatChanged(chat))

    async def _again(self, entry: int | None) -> None:
        await self.stop()
        if not self.path:
            return
        index = len(self.path) - 1 if entry is None else prompting.place_of(entry, self.path)
        if self.path[index].speaker == "user":
            index += 1
        else:
            await self.store.write(entries.remove_empty, self.path[index].id)
        self.path = self.path[:index]
        self._tell(notices.ChatShown(self.chat, self.path))
        await self._answer(self._shown(), self.path)

    async def _answer(self, chat: Chat, path: tuple[Entry, ...]) -> None:
        """Begin to answer the last entry of `path`, or note that it must be, or that it does not fit."""
        self._answers.errors.pop(chat.id, None)
        self.offers = ()
        await self._titling.cancel()
        model = self.model
        if model is None or not self._loading.ready:
            self._answers.wanted.add(chat.id)
        else:
            self._answers.wanted.discard(chat.id)
            try:
                await self._generate(model, chat, path)
            except StoreError:
                raise
            except EdgeLLMError as error:
                self._answers.errors[chat.id] = str(error)
        self._tell_state()

    async def _generate(self, model: Model, chat: Chat, path: tuple[Entry, ...]) -> None:
        fit = await self._fitting.fit(model, chat.options, path)
        if fit.prompt is not None:
            entry = await self._answers.begin(model, chat, path[-1].id, fit.prompt)
            if self._is_shown(chat.id):
                self.path = (*path, entry)
                self._tell(notices.EntryAdded(entry))
        if fit.meter is not None and self._is_shown(chat.id):
            self._tell_meter(fit.meter)
        if fit.prompt is None and fit.meter is not None:
            self._outgrown(chat, fit.meter, fit.offers)

    def _outgrown(self, chat: Chat, meter: Meter, offers: tuple[Offer, ...]) -> None:
        if not offers:
            self._answers.errors[chat.id] = too_long(meter)
        if self._is_shown(chat.id):
            self.offers = offers
            self._tell(notices.Outgrown(meter, offers))

    async def _choose(self, chat: Chat, offer: Offer, summary: str) -> None:
        prompting.place_of(offer.first, self.path)
        if self.model is None:
            raise RequestError(standing.NO_MODEL)
        if offer.kind == "summary" and not summary:
            await self._summarize(self.model, chat, offer)
            return
        await self.store.write(cuts.add, offer.first, summary)
        if offer.kind == "window":
            self._changed(await self.store.write(chats.set_overflow, chat.id, "window"))
        await self._answer(self._shown(), self.path)

    async def _summarize(self, model: Model, chat: Chat, offer: Offer) -> None:
        try:
            words = await self._fitting.summary(offer, model, chat.options, self.path)
        except StoreError:
            raise
        except EdgeLLMError as error:
            self._answers.errors[chat.id], words = str(error), None
        if words is not None:
            self._tell(notices.Summarized(offer, words))
        self._tell_state()

    def _answered(self, answering: Answering, entry: Entry) -> None:
        """The answer is over and stored: tell, and find a title."""
        if self._is_shown(entry.chat):
            self.path = tuple(entry if each.id == entry.id else each for each in self.path)
            self._tell(notices.EntrySettled(entry))
            self._background.begin(self.measure())
        self._tell_state()
        if entry.reply.state == "complete" and not self._closing:
            self._titling.begin(answering.model, entry)

    def _loaded(self) -> None:
        self._tell_state()
        if self._loading.ready:
            self._background.begin(self._answer_wanted())

    async def _answer_wanted(self) -> None:
        async with self._one_at_a_time:
            await self.measure()
            for id in list(self._answers.wanted):
                shown = self._is_shown(id)
                chat = self._shown() if shown else await self.store.read(chats.get, id)
                await self._answer(chat, self.path if shown else await self.store.read(entries.path, id))
