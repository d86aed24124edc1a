"""How a conversation stands, in a word and a sentence, from what runs and what went wrong."""

from __future__ import annotations

from tui.answers import Answers
from tui.fitting import Fitting
from tui.loading import Loading
from tui.notices import State
from tui.store.records import Chat

COMING = "Waiting for the model"
NO_MODEL = "No model is chosen. Choose one, and the message will be answered."


def of(chat: Chat | None, loading: Loading, answers: Answers, fitting: Fitting) -> tuple[State, str]:
    """What runs comes before what failed; `chat` None is a new conversation."""
    if running := answers.of(chat):
        return ("stopping" if running.stopping else "streaming"), ""
    if fitting.running:
        return "loading", "Writing a summary of what came before, Esc stops"
    if loading.running and loading.model is not None:
        return "loading", f"Loading {loading.model.info.name}"
    id = None if chat is None else chat.id
    error = answers.errors.get(id or 0) or loading.error
    if not error and loading.model is None and id in answers.wanted:
        if loading.expected:
            return "loading", COMING
        error = NO_MODEL
    return ("failed", error) if error else ("idle", "")
