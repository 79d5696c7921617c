"""Colours and how well text can be read on them.

Relative luminance and contrast ratio as WCAG 2.2 defines them
(https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio).
"""

from __future__ import annotations

import colorsys

#: WCAG 2.2, success criterion 1.4.3, for text of ordinary size.
MIN_CONTRAST = 4.5


def contrast(first: str, second: str) -> float:
    """The contrast ratio, from 1 to 21, of two colours written ``#RRGGBB``."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def contrast_inverted(first: str, second: str) -> float:
    """The contrast ratio of two colours once a mail client has inverted both; the worse of two models.

    Clients that invert differ and do not say how. One model takes every colour's opposite, the other turns
    light into dark and keeps hue and saturation.
    """
    return min(contrast(model(first), model(second)) for model in (opposite, turned_over))


def opposite(colour: str) -> str:
    """What stands on the other side of the RGB cube: ``#FFDDB3`` gives ``#00224C``."""
    return _written(*(1 - channel for channel in _channels(colour)))


def turned_over(colour: str) -> str:
    """The colour of the same hue and saturation that is as dark as this one is light, in HSL."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*_channels(colour))
    return _written(*colorsys.hls_to_rgb(hue, 1 - lightness, saturation))


def _channels(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _written(*channels: float) -> str:
    return "#" + "".join(f"{round(channel * 255):02X}" for channel in channels)


def _luminance(colour: str) -> float:
    red, green, blue = map(_linear, _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
