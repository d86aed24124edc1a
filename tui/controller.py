"""The chat's state machine: what a person asks of a conversation, done through a `Model` and a `Store`.

Knows no Textual. All methods are called in one event loop; listeners are called there too, and must be quick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgellm.model import Model
from tui.notices import Meter, Notice, Offer, State, Stats
from tui.store.records import Attachment, Chat, Entry, Options
from tui.store.store import Store

Listener = Callable[[Notice], None]


class Controller:
    """`chat` None is a new conversation: it is stored when its first message is sent.

    Answers of a conversation go on when another one is opened; `state`, `path`, `meter` and `stats` are those of the
    conversation shown. Store errors are raised by the methods; the model's become the state `failed`.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.model: Model | None = None
        self.chat: Chat | None = None
        self.path: tuple[Entry, ...] = ()
        self.options = Options()
        self.meter: Meter | None = None
        self.stats: Stats | None = None

    @property
    def state(self) -> State:
        raise AssertionError

    @property
    def detail(self) -> str:
        """What loads or went wrong, for the states `loading` and `failed`."""
        raise AssertionError

    @property
    def offers(self) -> tuple[Offer, ...]:
        """Of the last `Outgrown`, until one is chosen or another message is sent."""
        raise AssertionError

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every notice from now on; returns what ends that."""
        raise AssertionError

    async def use(self, model: Model) -> None:
        """Answer with `model` from now on and load it in the background; running answers end with their own model.

        The model that was used before is not closed: whoever made it does that.
        """
        raise AssertionError

    async def new(self) -> None:
        """Show a new, empty conversation."""
        raise AssertionError

    async def open(self, chat: int, entry: int | None = None) -> None:
        """Show a conversation, on the branch of `entry` if given (as a found message)."""
        raise AssertionError

    async def resume_last(self) -> bool:
        """Show the conversation that was last written in; False (and a new one) if there is none."""
        raise AssertionError

    async def send(self, text: str, attachments: tuple[Attachment, ...] = ()) -> None:
        """Store the message, then begin the answer; returns as soon as both are under way.

        While the model loads, the answer waits for it. Without room in the context, nothing is generated and
        `Outgrown` tells so. A running answer of this conversation is stopped first.
        """
        raise AssertionError

    async def stop(self) -> None:
        """End the running answer of the conversation shown, keeping what there is of it."""
        raise AssertionError

    async def regenerate(self, entry: int | None = None) -> None:
        """Answer again, in a branch beside the answer `entry` (default: the last one)."""
        raise AssertionError

    async def edit(self, entry: int, text: str, attachments: tuple[Attachment, ...] | None = None) -> None:
        """Send the user's message `entry` again in other words, in a branch beside it; None keeps its attachments."""
        raise AssertionError

    async def retry(self) -> None:
        """After `failed`: load the model again if that failed, then answer the last message again."""
        raise AssertionError

    async def switch(self, entry: int, step: int) -> None:
        """Show the sibling of `entry` that is `step` places further (1 or -1), where it was last left."""
        raise AssertionError

    async def choose(self, offer: Offer) -> None:
        """Make the conversation fit in this way, and answer."""
        raise AssertionError

    async def rename(self, title: str, chat: int | None = None) -> None:
        """Give a conversation (default: the one shown) a title that the model will not change."""
        raise AssertionError

    async def pin(self, pinned: bool, chat: int | None = None) -> None:
        raise AssertionError

    async def delete(self, chat: int | None = None) -> None:
        """Take a conversation off the list; `undo` brings it back, and it is destroyed after a month at the soonest."""
        raise AssertionError

    async def undo(self) -> Chat | None:
        """Bring back the conversation deleted last by this app, and show it; None if there is none."""
        raise AssertionError

    async def configure(self, **changes: Any) -> None:
        """Change fields of `Options` of the conversation shown. Raises RequestError for sampling out of range."""
        raise AssertionError

    async def measure(self, draft: str = "", attachments: tuple[Attachment, ...] = ()) -> Meter | None:
        """Count the tokens of the next prompt, with an unsent `draft`, exactly; tells listeners too."""
        raise AssertionError

    async def save_draft(self, text: str) -> None:
        """Keep unsent words of the conversation shown."""
        raise AssertionError

    async def draft(self) -> str:
        raise AssertionError

    async def settled(self) -> None:
        """Wait until nothing runs in the background: no answer, no title, no loading."""
        raise AssertionError

    async def close(self) -> None:
        """Stop all answers and keep what there is of them. The store and the model stay open. Idempotent."""
        raise AssertionError
