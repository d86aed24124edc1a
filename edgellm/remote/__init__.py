"""Models that run elsewhere and are asked over HTTP."""
