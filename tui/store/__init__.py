"""Keeps conversations in one SQLite file: what was typed or said is on disk within a second, whatever ends the app."""
