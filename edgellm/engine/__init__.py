"""Continuous batching over any `Backend`; sees token ids only, never text."""
