"""The chat app: the screen and its keys; what works behind it comes after the first paint, see `tui.works`."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Event, Key, Paste
from textual.reactive import Reactive
from textual.screen import Screen
from textual.theme import Theme
from textual.timer import Timer

from edgellm.errors import EdgeLLMError
from tui import commands
from tui.commands import COMMANDS, COMMANDS_BY_NAME, Command, Situation
from tui.screens.chat import ChatScreen
from tui.styles.themes import THEMES, THEMES_BY_NAME
from tui.widgets import signals

if TYPE_CHECKING:
    from tui.actions import Actions
    from tui.composer import Composer
    from tui.controller import Controller
    from tui.dialogs import Dialogs
    from tui.model_choice import ModelChoice
    from tui.serving import Serving
    from tui.start import Start
    from tui.store.records import Entry
    from tui.store.store import Store
    from tui.submitting import Submitting
    from tui.suggesting import Suggesting
    from tui.works import Works

STYLES = Path(__file__).parent / "styles"
DRAFT_S = 0.5
"""How long after a key an unsent message is kept and counted, at the latest."""
FOCUS_S = 0.01
"""Between two looks whether the prompt has the focus, at the beginning."""
TWICE_S = 2.0
"""A second Ctrl-C within this time leaves."""


class ChatApp(App[None]):
    """What a person does is handed to the works behind the screen; before they are there, it waits in its order."""

    CSS_PATH = STYLES / "first.tcss"
    TITLE = "edgellm"
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key, f"key('{command.name}')", command.title, show=False, priority=key != "escape")
            for command in COMMANDS
            for key in command.keys
        ),
        Binding("escape", "to_prompt", "Leave editing, go back to the prompt", show=False),
        Binding("ctrl+c", "interrupt", "Copy, stop, or leave", show=False, priority=True),
    ]

    theme: Reactive[str] = Reactive(THEMES[0].name)

    # All of these are put here by the works.
    store: Store
    controller: Controller
    models: ModelChoice
    composer: Composer
    submitting: Submitting
    suggesting: Suggesting
    dialogs: Dialogs
    actions: Actions
    serving: Serving

    def __init__(self, start: Start) -> None:
        super().__init__()
        self.start = start
        self.chat_screen = ChatScreen(start.settings.model, start.settings.offline)
        self.leaving = False
        self._works: Works | None = None
        self._begun = asyncio.Event()
        self._waiting: list[Callable[[], object]] = []
        self._draft_timer: Timer | None = None
        self._interrupted = 0.0
        self._early: list[Event] | None = []

    @property
    def available_themes(self) -> dict[str, Theme]:
        """Ours alone; there from the beginning, as all styles are read anew when another one is set."""
        return THEMES_BY_NAME

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
        self._read_styles()
        await self.chat_screen.complete()
        try:
            works = self._works = (await asyncio.to_thread(_imported))(self)
        except ImportError as error:  # a Python that was built without SQLite, say
            self.exit(return_code=1, message=f"error: {error}. Install edgellm again, or for another Python.")
            return
        if not gc.isenabled():  # whoever starts a process for this puts it off: what is imported is no garbage
            gc.freeze()
            gc.enable()
        try:
            notes = await works.begin()
        except EdgeLLMError as error:
            self.exit(return_code=1, message=f"error: {error}")
            return
        for note in notes:
            self.notify(note, severity="warning", timeout=10, markup=False)
        self._begun.set()
        self.chat_screen.header.watch_machine()
        self.serving.show()
        self.use(self.chat_screen.header.model)
        for call in self._waiting:
            call()
        self._waiting.clear()
        if self.chat_screen.prompt.text:
            self._drafted()
        await asyncio.to_thread(works.warm)

    def _read_styles(self) -> None:
        """Those that the first frame has no use for. When a screen brings its own, all others are read anew."""
        self.stylesheet.read(STYLES / "app.tcss")
        self.stylesheet.parse()

    @property
    def begun(self) -> bool:
        """Whether the works are in and a conversation is shown; what is asked for before waits."""
        return self._begun.is_set()

    def when_begun(self, call: Callable[[], object]) -> None:
        """Now, or as soon as what it needs is there."""
        if self.begun:
            call()
        else:
            self._waiting.append(call)

    def use(self, name: str) -> None:
        """Answer with the model `name` as soon as it is there; until then the one before goes on."""
        assert self._works is not None
        self._works.use(name)

    async def take(self, name: str) -> None:
        """As `use`; returns when it is there, or why not is told."""
        assert self._works is not None
        await self._works.take(name)

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
            if not self.leaving:
                self.notify(str(error), severity="error", timeout=10, markup=False)

    @on(signals.Submitted)
    def _submitted(self, event: signals.Submitted) -> None:
        self.when_begun(lambda: self.submitting.take(event.text))

    def obey(self, command: Command, argument: str = "") -> None:
        """Do what a command of the registry says: what has to wait for something in the background, the rest now."""
        action = getattr(self.actions, command.name)
        result = action(argument) if command.argument else action()
        if result is not None:
            self.do(result)

    @on(signals.Drafted)
    def _drafted(self) -> None:
        if not self.begun:
            return
        work: Any = partial(self.suggesting.offer, self.chat_screen.prompt.text)
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
        if not self.begun:
            return Situation(state="loading", has_server=self.start.server is not None)
        path = self.controller.path
        return Situation(
            state=self.controller.state,
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

    def update_commands(self) -> None:
        self.chat_screen.show_commands(commands.available(self.situation))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of commands work on the main screen only, and only where they make sense."""
        if action == "to_prompt":
            return self.screen is self.chat_screen
        command = COMMANDS_BY_NAME[str(parameters[0])] if action in ("command", "key") else None
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
        if self.begun and self.composer.editing is not None:
            self.chat_screen.show_notice("")
            self.do(self.composer.leave())

    def action_key(self, name: str) -> None:
        """What a key asks for: it is heard at once, and must not overtake the letters before it, which are not."""
        if self.focused is self.chat_screen.prompt and name != "quit":
            self.chat_screen.prompt.call_later(self.action_command, name)
        else:
            self.action_command(name)

    def action_command(self, name: str) -> None:
        """What a key or a click asks for."""
        if name == "quit":  # even where conversations cannot be opened
            self.run_worker(self.action_quit(), group="quit")
        else:
            self.when_begun(partial(self.obey, COMMANDS_BY_NAME[name]))

    def action_interrupt(self) -> None:
        """Ctrl-C: copy what is selected, else stop the answer; twice in a row, leave."""
        selected = self.screen.get_selected_text()
        now = time.monotonic()
        if selected:
            self.do(self.copy(selected, "selection"))
        elif self.situation.state == "streaming":
            self.action_command("stop")
        elif now - self._interrupted < TWICE_S:
            self.run_worker(self.action_quit(), group="quit")
        else:
            self._interrupted = now
            self.notify("Press Ctrl-C again to quit.", timeout=TWICE_S)

    async def action_quit(self) -> None:
        """Keep everything, give the model's memory back, leave."""
        self.leaving = True
        if self._works is not None:
            await self._works.close(begun=self.begun)
        self.exit()

    def remember(self, name: str, value: str | int) -> None:
        """A choice made in the app, for the next time."""
        from tui.store import presets

        self.do(self.store.write(presets.set_preference, name, value))


def _imported() -> type[Works]:
    """In a thread: it takes longer than a key may wait."""
    from tui.works import Works

    return Works
