"""The dark and the light theme: neutral greys and one accent."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="dark",
    primary="#6fd0bd",
    secondary="#6fd0bd",
    accent="#6fd0bd",
    warning="#e0b25c",
    error="#e5737a",
    success="#8ccf7e",
    foreground="#d7dae0",
    background="#16171a",
    surface="#1e1f24",
    panel="#292b31",
    dark=True,
    variables={
        "text-muted": "#878e9c",
        "text-code": "#b9d7e8",
        "code-keyword": "#6fd0bd",
        "code-string": "#c3d28b",
        "code-number": "#e0b25c",
        "code-name": "#9cc4ee",
        "block-cursor-background": "#2b3a3c",
        "block-cursor-foreground": "#e8ebf0",
        "block-cursor-text-style": "none",
        "input-selection-background": "#6fd0bd 30%",
        "scrollbar": "#2b2f39",
        "scrollbar-hover": "#3a404d",
        "scrollbar-active": "#6fd0bd",
        "scrollbar-background": "#16171a",
        "scrollbar-background-hover": "#16171a",
        "scrollbar-background-active": "#16171a",
        "scrollbar-corner-color": "#16171a",
    },
)

LIGHT = Theme(
    name="light",
    primary="#0b7566",
    secondary="#0b7566",
    accent="#0b7566",
    warning="#8a5a00",
    error="#b3261e",
    success="#2d6a1f",
    foreground="#24272d",
    background="#fbfaf7",
    surface="#f1efe9",
    panel="#e4e1d8",
    dark=False,
    variables={
        "text-muted": "#6d6f76",
        "text-code": "#1f4e79",
        "code-keyword": "#0b7566",
        "code-string": "#5c6b00",
        "code-number": "#8a5a00",
        "code-name": "#1f4e9c",
        "block-cursor-background": "#cfe5df",
        "block-cursor-foreground": "#16171a",
        "block-cursor-text-style": "none",
        "input-selection-background": "#0b7566 25%",
        "scrollbar": "#d5d1c6",
        "scrollbar-hover": "#bdb8aa",
        "scrollbar-active": "#0b7566",
        "scrollbar-background": "#fbfaf7",
        "scrollbar-background-hover": "#fbfaf7",
        "scrollbar-background-active": "#fbfaf7",
        "scrollbar-corner-color": "#fbfaf7",
    },
)

THEMES = (DARK, LIGHT)
