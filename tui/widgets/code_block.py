"""A fence of code in a frame: its language above, a button that copies it below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click

from tui.widgets.colouring import Colouring
from tui.widgets.document import Block
from tui.widgets.markdown import Fence, Lines
from tui.widgets.prose import DocumentText
from tui.widgets.signals import CopyWanted


class CodeBlock(DocumentText, can_focus=True):
    """`c` or a click on the frame's `copy` copies the code as it was written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy", "Copy the code"),
        Binding("enter", "copy", "Copy the code", show=False),
    ]

    def __init__(self, fence: Fence) -> None:
        self._colouring = Colouring()
        self.fence = fence
        super().__init__(self._blocks(exact=True))
        self.border_title = Content(fence.language or "text")
        self.border_subtitle = Content("copy")

    def show(self, fence: Fence) -> None:
        """Code that was shown before without being read whole is read whole."""
        same = (fence.code, fence.language) == (self.fence.code, self.fence.language)
        if same and self._colouring.exact:
            return
        self.fence = fence
        self.border_title = Content(fence.language or "text")
        self.show_blocks(self._blocks(exact=same))

    def _blocks(self, *, exact: bool) -> Sequence[Block]:
        return [Lines(self._colouring.lines(self.fence.code, self.fence.language, exact=exact))]

    def action_copy(self) -> None:
        self.post_message(CopyWanted(self.fence.code, "code"))

    def on_click(self, event: Click) -> None:
        if event.y in (0, self.outer_size.height - 1):
            event.stop()
            self.action_copy()
