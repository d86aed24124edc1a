"""The dark and the light theme of our own, neutral greys and one accent; well-known ones with the colours we need."""

from __future__ import annotations

from dataclasses import replace

from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

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

KNOWN = (
    "catppuccin-latte",
    "catppuccin-mocha",
    "dracula",
    "gruvbox",
    "monokai",
    "nord",
    "rose-pine",
    "solarized-dark",
    "solarized-light",
    "tokyo-night",
)
"""Of those that come with Textual."""
_BEHIND = (
    "scrollbar-background",
    "scrollbar-background-hover",
    "scrollbar-background-active",
    "scrollbar-corner-color",
)


def _adapted(theme: Theme) -> Theme:
    """With one accent, and what ours name besides."""
    foreground, background = theme.foreground, theme.background
    assert foreground and background, "those named above have both"
    front, back = Color.parse(foreground), Color.parse(background)
    muted, bar = front.blend(back, 0.4).hex, front.blend(back, 0.8).hex
    chosen = Color.parse(theme.primary).blend(back, 0.7).hex
    code = Color.parse(theme.secondary or theme.primary).blend(front, 0.4).hex
    named = {
        "text-muted": muted,
        "text-code": code,
        "code-keyword": theme.primary,
        "code-string": theme.success or foreground,
        "code-number": theme.warning or foreground,
        "code-name": code,
        "block-cursor-background": chosen,
        "block-cursor-foreground": foreground,
        "block-cursor-text-style": "none",
        "scrollbar": bar,
        "scrollbar-hover": muted,
        "scrollbar-active": theme.primary,
        **dict.fromkeys(_BEHIND, background),
    }
    return replace(theme, accent=theme.primary, variables={**theme.variables, **named})


THEMES = (DARK, LIGHT, *(_adapted(BUILTIN_THEMES[name]) for name in KNOWN if name in BUILTIN_THEMES))
THEMES_BY_NAME = {theme.name: theme for theme in THEMES}
NAMES = tuple(THEMES_BY_NAME)


def opposite(name: str) -> str:
    """Of our own two, the one that is light where the theme called `name` is dark, or dark where that is light."""
    now = next(theme for theme in THEMES if theme.name == name)
    return LIGHT.name if now.dark else DARK.name
