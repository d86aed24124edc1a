"""What becomes of the prompt at Enter: a command is obeyed, a message is sent, unless that would cut an answer off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.widgets import signals

if TYPE_CHECKING:
    from tui.app import ChatApp

WRITING = "The answer is still being written. Esc stops it; Enter once more stops it and sends your message."


class Submitting:
    def __init__(self, app: ChatApp) -> None:
        self._app = app
        self._insisted = ""
        """What was asked to be sent while an answer runs: asked again, it is."""

    def take(self, given: str) -> None:
        """What the prompt gave away, as it was typed; what is not to be sent yet is in the prompt again."""
        from tui import slash

        prompt, text = self._app.chat_screen.prompt, given.strip()
        if (found := slash.read(text)) is not None:
            # Typed since Enter: no words of a conversation that the command leaves or deletes.
            since = prompt.text
            prompt.fill("")
            self._app.obey(*found)
            if since:
                prompt.fill(prompt.text + since)
                prompt.post_message(signals.Drafted(prompt.text))
        elif (word := slash.unknown(text)) is not None:
            prompt.take_back(given)
            self._app.notify(f"There is no command /{word}; F1 shows them all.", severity="warning", markup=False)
        elif self._app.controller.state == "streaming" and text != self._insisted:
            self._insisted = text
            prompt.take_back(given)
            self._app.chat_screen.show_notice(WRITING)
        else:
            self._send(text)

    def _send(self, text: str) -> None:
        self._insisted = ""
        self._app.chat_screen.show_notice("")
        self._app.do(self._app.composer.send(text))
