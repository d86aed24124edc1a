"""A fence of code in a frame: its language above, a button that copies it below."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click
from textual.widgets import Static

from tui.widgets.markdown import Fence
from tui.widgets.signals import CopyWanted

if TYPE_CHECKING:
    from textual.highlight import HighlightTheme


class CodeBlock(Static, can_focus=True):
    """`c` or a click on the frame's `copy` copies the code as it was written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy", "Copy the code"),
        Binding("enter", "copy", "Copy the code", show=False),
    ]

    def __init__(self, fence: Fence) -> None:
        super().__init__(highlighted(fence))
        self.fence = fence
        self.border_title = Content(fence.language or "text")
        self.border_subtitle = Content("copy")

    def show(self, fence: Fence) -> None:
        if fence.code == self.fence.code and fence.language == self.fence.language:
            return
        grown = fence.code.count("\n") != self.fence.code.count("\n")
        self.fence = fence
        self.border_title = Content(fence.language or "text")
        self.update(highlighted(fence), layout=grown or len(fence.code) % 80 < 8)

    def action_copy(self) -> None:
        self.post_message(CopyWanted(self.fence.code, "code"))

    def on_click(self, event: Click) -> None:
        if event.y in (0, self.outer_size.height - 1):
            event.stop()
            self.action_copy()


def highlighted(fence: Fence) -> Content:
    """The code in the theme's colours; languages that nobody knows stay plain."""
    if not fence.language:
        return Content(fence.code)
    from textual.highlight import highlight

    return highlight(fence.code, language=fence.language, theme=_theme(), tab_size=4)


def _theme() -> type[HighlightTheme]:
    from tui.widgets.code_colours import CodeColours

    return CodeColours
