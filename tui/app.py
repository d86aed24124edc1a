"""The chat app: connects screens, controller and model; imports nothing of the engine."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Event, Key, Paste
from textual.screen import Screen
from textual.timer import Timer

from edgellm.errors import EdgeLLMError
from tui import commands
from tui.actions import Actions
from tui.commands import COMMANDS, COMMANDS_BY_NAME, Command, Situation
from tui.composer import Composer
from tui.controller import Controller
from tui.dialogs import Dialogs
from tui.model_choice import ModelChoice
from tui.notices import ChatChanged, ChatShown, Deleted, ListChanged, Notice, Outgrown, StateChanged, Summarized
from tui.opening import Cancelled, Progress
from tui.screens.chat import ChatScreen
from tui.serving import Serving
from tui.start import Start
from tui.store.refusal import Closed
from tui.store.store import Store
from tui.styles.themes import NAMES, THEMES
from tui.submitting import Submitting
from tui.suggesting import Suggesting
from tui.widgets import signals

if TYPE_CHECKING:
    from tui.store.records import Entry

DRAFT_S = 0.5
"""How long after a key an unsent message is kept and counted, at the latest."""
FOCUS_S = 0.01
"""Between two looks whether the prompt has the focus, at the beginning."""
TWICE_S = 2.0
"""A second Ctrl-C within this time leaves."""


class ChatApp(App[None]):
    """Everything is done through the `Controller`; what it tells is handed to the screen, in order."""

    CSS_PATH = Path(__file__).parent / "styles" / "app.tcss"
    TITLE = "edgellm"
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key, f"command('{command.name}')", command.title, show=False, priority=key != "escape")
            for command in COMMANDS
            for key in command.keys
        ),
        Binding("escape", "to_prompt", "Leave editing, go back to the prompt", show=False),
        Binding("ctrl+c", "interrupt", "Copy, stop, or leave", show=False, priority=True),
    ]

    def __init__(self, start: Start) -> None:
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name
        self.start = start
        self.store = Store(start.folder)
        self.controller = Controller(self.store)
        self.chat_screen = ChatScreen(start.settings.model, start.settings.offline)
        self.models = ModelChoice(self.controller, start.settings, start.open_model, self._fetching)
        self.composer = Composer(self.controller, self.chat_screen.prompt, self._tell)
        self.submitting, self.suggesting = Submitting(self), Suggesting(self)
        self.dialogs = Dialogs(self)
        self.actions = Actions(self)
        self.serving = Serving(self, start.server)
        self.models.unused = self.serving.unused
        self._begun = asyncio.Event()
        self._heard: asyncio.Queue[Notice] = asyncio.Queue()
        self._draft_timer: Timer | None = None
        self._interrupted = 0.0
        self._leaving = self._was_opening = False
        self._early: list[Event] | None = []

    def get_default_screen(self) -> Screen[None]:
        return self.chat_screen

    async def on_event(self, event: Event) -> None:
        """What is typed before there is a prompt for it waits."""
        if self._early is not None and isinstance(event, Key | Paste) and not event.is_forwarded:
            self._early.append(event)
        else:
            await super().on_event(event)

    async def _awake(self) -> None:
        if self.focused is None:
            self.set_timer(FOCUS_S, self._awake)
            return
        early, self._early = self._early or [], None
        for event in early:
            await super().on_event(event)

    def on_mount(self) -> None:
        self.update_commands()
        self.call_after_refresh(self._awake)
        self.call_after_refresh(self.run_worker, self._begin(), group="begin")

    async def _begin(self) -> None:
        try:
            notes = await self.store.open()
            await self._restore()
            self.controller.listen(self._heard.put_nowait)
            self.run_worker(self._hear(), group="hear")
            if not (self.start.resume and await self.controller.resume_last()):
                await self.controller.new()
            if self.start.options:
                await self.controller.configure(**self.start.options)
        except EdgeLLMError as error:
            self.exit(return_code=1, message=f"error: {error}")
            return
        for note in notes:
            self.notify(note, severity="warning", timeout=10, markup=False)
        self._begun.set()
        self.chat_screen.header.watch_machine()
        self.serving.show()
        self.use(self.chat_screen.header.model)

    async def _restore(self) -> None:
        from tui.store import presets

        kept = await self.store.read(presets.preferences)
        if kept.get("theme") in NAMES:
            self.theme = str(kept["theme"])
        self.chat_screen.set_class(kept.get("list") is False, "-no-list")
        if self.start.any_model and isinstance(kept.get("model"), str):
            self.chat_screen.header.model = str(kept["model"])
        await self.composer.remember()

    def use(self, name: str) -> None:
        """Answer with the model `name` as soon as it is there; until then the one before goes on."""
        if self.controller.model is None:
            self.chat_screen.header.model = name
        self.chat_screen.show_notice("")
        self.run_worker(self.take(name), group="opening")

    async def take(self, name: str) -> None:
        """Returns when it is there, or why not is told."""
        try:
            if not await self.models.take(name):
                return
        except Exception as error:
            self._failed_to_open(error)
            return
        model = self.controller.model
        assert model is not None
        self.serving.use(model)
        self.chat_screen.header.model = model.info.name
        self.remember("model", name)
        self.update_commands()

    def _fetching(self, progress: Progress | None) -> None:
        """How far the model that is wanted is; None: it is there, or given up."""
        if self._was_opening != (progress is not None):
            self._was_opening = progress is not None
            self.update_commands()
        self.chat_screen.show_fetching(progress)

    def _failed_to_open(self, error: Exception) -> None:
        if self.controller.model is not None:
            self.chat_screen.header.model = self.controller.model.info.name
        if isinstance(error, Cancelled):
            self.notify(str(error), markup=False)
        elif isinstance(error, EdgeLLMError):
            self.chat_screen.show_notice(f"✗ {error}  ^O chooses another model.", error=True)
        else:
            self.chat_screen.show_notice(f"✗ {type(error).__name__}: {error}. This is a bug in edgellm.", error=True)

    async def _hear(self) -> None:
        while True:
            notice = await self._heard.get()
            with contextlib.suppress(Closed):
                await self._heard_of(notice)

    async def _heard_of(self, notice: Notice) -> None:
        if self._leaving:
            return
        await self.chat_screen.hear(notice)
        if isinstance(notice, ChatShown | StateChanged | ListChanged | ChatChanged | Deleted):
            self.update_commands()
        if isinstance(notice, ChatShown | ListChanged | ChatChanged):
            await self._list()
        match notice:
            case ChatShown(chat=shown):
                await self.composer.begin()
                if shown is not None:
                    self.remember("shown", shown.id)
            case Deleted(chat=chat):
                self.notify(f"Deleted “{chat.title}”. F8 brings it back.", timeout=8, markup=False)
                self.update_commands()
            case Outgrown():
                self.dialogs.outgrown(notice)
            case Summarized():
                self.dialogs.summary(notice)
            case StateChanged(state="idle"):
                self.do(self.models.retire())

    async def _list(self) -> None:
        from tui.store import chats

        shown = self.controller.chat.id if self.controller.chat is not None else None
        self.chat_screen.show_chats(await self.store.read(chats.listing), shown)

    def do(self, work: Coroutine[Any, Any, object]) -> None:
        """Run `work` in the background; what goes wrong is told."""
        self.run_worker(self._guarded(work), group="work")

    def show(self, work: Coroutine[Any, Any, object]) -> None:
        """Show another conversation by `work`, once the unsent words of this one are kept."""

        aside = self.composer.set_aside()

        async def leave() -> None:
            await aside
            try:
                await work
            finally:
                await self.composer.arrive()

        self.do(leave())

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        await self._begun.wait()
        try:
            await work
        except EdgeLLMError as error:
            if not self._leaving:
                self.notify(str(error), severity="error", timeout=10, markup=False)

    @on(signals.Submitted)
    def _submitted(self, event: signals.Submitted) -> None:
        self.submitting.take(event.text.strip())

    def obey(self, command: Command, argument: str = "") -> None:
        """Do what a command of the registry says: what has to wait for something in the background, the rest now."""
        action = getattr(self.actions, command.name)
        result = action(argument) if command.argument else action()
        if result is not None:
            self.do(result)

    @on(signals.Drafted)
    def _drafted(self, event: signals.Drafted) -> None:
        work: Any = partial(self.suggesting.offer, event.text)
        self.run_worker(work, exclusive=True, group="suggest")
        if self._draft_timer is None:  # not later for somebody who never pauses
            self._draft_timer = self.set_timer(DRAFT_S, self._keep)

    def _keep(self) -> None:
        self._draft_timer = None
        self.do(self.composer.keep())

    @on(signals.ChatChosen)
    def _chat_chosen(self, event: signals.ChatChosen) -> None:
        self.show(self.controller.open(event.chat))
        self.chat_screen.prompt.focus()

    @on(signals.EditWanted)
    def _edit_wanted(self, event: signals.EditWanted) -> None:
        self.edit(next(one for one in self.controller.path if one.id == event.entry))

    def edit(self, entry: Entry) -> None:
        """Have a message of the user in the prompt, to be sent in other words."""
        self.composer.edit(entry)
        self.chat_screen.show_notice("Editing an earlier message: Enter sends it in a new branch, Esc leaves it.")

    @on(signals.RegenerateWanted)
    def _regenerate_wanted(self, event: signals.RegenerateWanted) -> None:
        self.do(self.controller.regenerate(event.entry))

    @on(signals.SwitchWanted)
    def _switch_wanted(self, event: signals.SwitchWanted) -> None:
        self.do(self.controller.switch(event.entry, event.step))

    @on(signals.CommandWanted)
    def _command_wanted(self, event: signals.CommandWanted) -> None:
        self.action_command(event.name)

    @on(signals.CopyWanted)
    def _copy_wanted(self, event: signals.CopyWanted) -> None:
        self.do(self.copy(event.text, event.what))

    async def copy(self, text: str, what: str) -> None:
        """To the clipboard, saying only what is known of how it went."""
        from tui import clipboard

        known = await asyncio.to_thread(clipboard.copy, text)
        if not known:
            self.copy_to_clipboard(text)
        self.notify(clipboard.words(what, known), markup=False)

    @property
    def situation(self) -> Situation:
        path = self.controller.path
        ready = self._begun.is_set()
        return Situation(
            state=self.controller.state if ready else "loading",
            has_model=self.controller.model is not None,
            has_chat=self.controller.chat is not None,
            has_messages=any(entry.speaker == "user" for entry in path),
            has_answer=any(entry.speaker == "assistant" for entry in path),
            can_undo=self.controller.can_undo,
            has_server=self.serving.control is not None,
            opening=self.models.opening,
            cut=self.controller.cut,
            summing=self.controller.summing,
        )

    def _tell(self, words: str) -> None:
        self.notify(words, severity="warning", timeout=8, markup=False)

    def update_commands(self) -> None:
        self.chat_screen.show_commands(commands.available(self.situation))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of commands work on the main screen only, and only where they make sense."""
        if action == "to_prompt":
            return self.screen is self.chat_screen
        command = COMMANDS_BY_NAME[str(parameters[0])] if action == "command" else None
        if command is None or command.name == "quit":
            return True
        return self.screen is self.chat_screen and command.when(self.situation)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette offers what the registry has."""
        for command in commands.available(self.situation):
            if command.name != "command_palette":
                yield SystemCommand(commands.label(command), command.help, partial(self.action_command, command.name))

    def action_to_prompt(self) -> None:
        self.chat_screen.prompt.focus()
        if self.composer.editing is not None:
            self.chat_screen.show_notice("")
            self.do(self.composer.leave())

    def action_command(self, name: str) -> None:
        """What a key or a click asks for."""
        if name == "quit":  # even where conversations cannot be opened
            self.run_worker(self.action_quit(), group="quit")
        else:
            self.obey(COMMANDS_BY_NAME[name])

    def action_interrupt(self) -> None:
        """Ctrl-C: copy what is selected, else stop the answer; twice in a row, leave."""
        selected = self.screen.get_selected_text()
        now = time.monotonic()
        if selected:
            self.do(self.copy(selected, "selection"))
        elif self.controller.state == "streaming":
            self.action_command("stop")
        elif now - self._interrupted < TWICE_S:
            self.run_worker(self.action_quit(), group="quit")
        else:
            self._interrupted = now
            self.notify("Press Ctrl-C again to quit.", timeout=TWICE_S)

    async def action_quit(self) -> None:
        """Keep everything, give the model's memory back, leave."""
        self._leaving = True
        with contextlib.suppress(EdgeLLMError):
            if self._begun.is_set():
                await self.composer.keep_draft()
                await self.controller.close()
        await self.serving.close()
        await self.models.close()
        await self.store.close()
        self.exit()

    def remember(self, name: str, value: str | int) -> None:
        """A choice made in the app, for the next time."""
        from tui.store import presets

        self.do(self.store.write(presets.set_preference, name, value))
