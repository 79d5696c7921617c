"""Colours and how well text can be read on them.

Relative luminance and contrast ratio as WCAG 2.2 defines them
(https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio).
"""

from __future__ import annotations

#: WCAG 2.2, success criterion 1.4.3, for text of ordinary size.
MIN_CONTRAST = 4.5


def contrast(first: str, second: str) -> float:
    """The contrast ratio, from 1 to 21, of two colours written ``#RRGGBB``."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
