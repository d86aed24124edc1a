"""Puts the rooms together into models that run; the only place that knows every room."""
