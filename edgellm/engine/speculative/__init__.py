"""Guessing ahead: who proposes tokens, what a step costs, and how far a guess pays."""
