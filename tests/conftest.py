"""What every test relies on."""

from __future__ import annotations

import signal

# A shell that starts us in the background has us ignore Ctrl-C, and our children with us; tests send it on purpose.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
