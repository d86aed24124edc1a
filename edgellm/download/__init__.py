"""Brings model files to this machine, whole, checked and in their place, or not at all."""

from edgellm.download.transfer import ensure, fetch, held, pull

__all__ = ["ensure", "fetch", "held", "pull"]
