"""Every command of the chat, once: palette, slash words, keys, footer and help are made from this list."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from tui.notices import State


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What decides which commands make sense now."""

    state: State = "idle"
    has_model: bool = False
    has_chat: bool = False
    has_messages: bool = False
    has_answer: bool = False
    can_undo: bool = False
    has_server: bool = False
    opening: bool = False
    cut: bool = False
    summing: bool = False


def _always(situation: Situation) -> bool:
    return True


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is also the method of `Actions` that does it; `keys` as Textual writes them, the first is shown.

    `slash` without its `/`; `argument` names what may follow it. `footer` is the short word beside the key, if it is
    shown there.
    """

    name: str
    title: str
    help: str
    keys: tuple[str, ...] = ()
    slash: str = ""
    argument: str = ""
    footer: str = ""
    group: str = "Chat"
    when: Callable[[Situation], bool] = _always


def _streaming(situation: Situation) -> bool:
    return situation.summing or situation.state in ("streaming", "stopping")


def _answered(situation: Situation) -> bool:
    return situation.has_answer


def _stored(situation: Situation) -> bool:
    return situation.has_chat


COMMANDS: tuple[Command, ...] = (
    Command(
        name="stop",
        title="Stop the answer",
        help="End the answer that is being written; what there is of it is kept.",
        keys=("escape",),
        slash="stop",
        footer="stop",
        when=_streaming,
    ),
    Command(
        name="new",
        title="New conversation",
        help="Begin a new conversation; the one shown is kept.",
        keys=("ctrl+n",),
        slash="new",
        footer="new",
    ),
    Command(
        name="search",
        title="Search conversations",
        help="Find words in all conversations.",
        keys=("ctrl+f",),
        slash="search",
        argument="WORDS",
        footer="find",
    ),
    Command(
        name="models",
        title="Choose a model",
        help="Show which models fit this machine, and answer with another one; it is fetched if it is not here.",
        keys=("ctrl+o",),
        slash="model",
        argument="NAME",
        footer="model",
        group="Model",
    ),
    Command(
        name="cancel",
        title="Cancel the model that is on its way",
        help="Give up fetching or preparing it; what is there of a download is kept for the next time.",
        keys=("f6",),
        slash="cancel",
        footer="cancel",
        group="Model",
        when=lambda situation: situation.opening,
    ),
    Command(
        name="regenerate",
        title="Answer again",
        help="Write another answer beside the last one; both are kept as branches.",
        keys=("ctrl+r",),
        slash="regenerate",
        footer="again",
        when=_answered,
    ),
    Command(
        name="edit",
        title="Edit the last message",
        help="Change your last message and send it again; the old one is kept as a branch.",
        keys=("ctrl+e",),
        slash="edit",
        footer="edit",
        when=lambda situation: situation.has_messages,
    ),
    Command(
        name="copy",
        title="Copy the last answer",
        help="Copy the last answer as Markdown.",
        keys=("ctrl+y",),
        slash="copy",
        footer="copy",
        when=_answered,
    ),
    Command(
        name="retry",
        title="Try again",
        help="After an error: get or load the model again if that failed, and answer the last message.",
        slash="retry",
        when=lambda situation: situation.state == "failed" or not (situation.has_model or situation.opening),
    ),
    Command(
        name="rename",
        title="Rename the conversation",
        help="Give the conversation a title of your own.",
        keys=("f2",),
        slash="rename",
        argument="TITLE",
        when=_stored,
    ),
    Command(
        name="pin",
        title="Pin or unpin the conversation",
        help="Keep the conversation at the top of the list, or no longer.",
        slash="pin",
        when=_stored,
    ),
    Command(
        name="delete",
        title="Delete the conversation",
        help="Take the conversation off the list; it can be brought back with undo.",
        slash="delete",
        when=_stored,
    ),
    Command(
        name="undo",
        title="Undo the deletion",
        help="Bring the conversation back that was deleted last.",
        keys=("f8",),
        slash="undo",
        when=lambda situation: situation.can_undo,
    ),
    Command(
        name="export",
        title="Export the conversation",
        help="Write the branch shown to a Markdown file, named by its title; all branches to a FILE.json.",
        slash="export",
        argument="FILE",
        when=_stored,
    ),
    Command(
        name="import_",
        title="Import a conversation",
        help="Add the conversation of a file that was exported.",
        slash="import",
        argument="FILE",
    ),
    Command(
        name="settings",
        title="Instructions and sampling",
        help="What the model is told before every conversation, presets, and how its words are chosen.",
        keys=("f3",),
        slash="settings",
        footer="settings",
        group="Model",
    ),
    Command(
        name="preset",
        title="Take a preset",
        help="Give the conversation the instructions and the sampling that were kept under a name.",
        slash="preset",
        argument="NAME",
        group="Model",
    ),
    Command(
        name="uncut",
        title="Give the model everything again",
        help="Take back what was chosen to be left out when the conversation outgrew the context.",
        slash="uncut",
        group="Model",
        when=lambda situation: situation.cut,
    ),
    Command(
        name="server",
        title="Server",
        help="Let other programs use the chat's model over HTTP, and see what they ask; /server on, off or a port.",
        keys=("f5",),
        slash="server",
        argument="on|off|PORT",
        group="App",
        when=lambda situation: situation.has_server,
    ),
    Command(
        name="sidebar",
        title="Show or hide the list",
        help="The list of conversations; it hides by itself below 100 columns.",
        keys=("ctrl+b",),
        group="App",
    ),
    Command(
        name="switch_theme",
        title="Theme: dark or light",
        help="Change between dark and light, or take another theme by its name.",
        keys=("f4",),
        slash="theme",
        argument="NAME",
        group="App",
    ),
    Command(
        name="command_palette",
        title="All commands",
        help="Find and run any command by its name.",
        keys=("ctrl+p",),
        footer="commands",
        group="App",
    ),
    Command(
        name="help",
        title="Help",
        help="Keys, commands and what a message can do.",
        keys=("f1",),
        slash="help",
        footer="help",
        group="App",
    ),
    Command(
        name="quit",
        title="Quit",
        help="Leave; a half-written answer and an unsent message are kept.",
        keys=("ctrl+q",),
        slash="quit",
        group="App",
    ),
)

_KEYS = {"escape": "Esc", "enter": "Enter", "left": "←", "right": "→"}
COMMANDS_BY_NAME = {command.name: command for command in COMMANDS}


def written(key: str) -> str:
    """A key as people write it: `^N` for `ctrl+n`, `F1` for `f1`."""
    if key.startswith("ctrl+"):
        return "^" + key.removeprefix("ctrl+").upper()
    if len(key) == 1:
        return key
    return _KEYS.get(key, key.upper() if len(key) <= 3 else key.title())


def label(command: Command) -> str:
    """Its title, with the ways to it, which can be searched for too."""
    ways = [f"/{command.slash}" if command.slash else "", *map(written, command.keys[:1])]
    return "   ".join((command.title, *filter(None, ways)))


def available(situation: Situation) -> tuple[Command, ...]:
    """Those that make sense now."""
    return tuple(command for command in COMMANDS if command.when(situation))
