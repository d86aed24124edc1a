"""Tests mirror the tree of edgellm and tui."""
