"""What every test relies on."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile

import pytest

from edgellm.runtime import native_choice
from edgellm.runtime.native_trial import Trial

# A shell that starts us in the background has us ignore Ctrl-C, and our children with us; tests send it on purpose.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Models that other programs keep on this machine would be listed beside the tests' own.
_NOTHING = tempfile.mkdtemp(prefix="edgellm-tests-")
atexit.register(shutil.rmtree, _NOTHING, ignore_errors=True)
os.environ.pop("HF_HUB_CACHE", None)
os.environ |= {"HF_HOME": _NOTHING, "OLLAMA_MODELS": _NOTHING}

# Tests begin in fresh homes, and each would try every model on two libraries first.
os.environ.setdefault("EDGELLM_BACKEND", "llama.cpp")


@pytest.fixture(autouse=True)
def _no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor those that make their settings themselves."""
    monkeypatch.setattr(
        native_choice, "run_trial", lambda path, settings, telling: Trial(problem="not in tests", sure=False)
    )
