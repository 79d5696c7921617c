"""A mail's light, dark and inverting copies do not ask the viewer's system."""

from __future__ import annotations

import pytest

from dispatcher.domain.colour import turned_over
from dispatcher.mail.shades import SHADES, shaded

MAIL = """\
<html lang="en"><head>
<meta name="color-scheme" content="light dark" />
<meta name="supported-color-schemes" content="light dark" />
<style>:root { color-scheme: light dark; } p { color: #000000; }</style>
<style data-premailer="ignore">
@media (prefers-color-scheme: dark) { p { color: #FFFFFF; } }
@media screen and (PREFERS-COLOR-SCHEME:dark) and (max-width: 480px) { p { margin: 0; } }
@media (prefers-color-scheme: light) { p { color: #111111; } }
</style></head>
<body><p>We write @media (prefers-color-scheme: dark) and color-scheme: dark.</p></body></html>
"""


def test_the_dark_copy_has_its_dark_rules_in_force() -> None:
    """The question for a dark system is answered with yes, that for a light one with no."""
    dark = shaded(MAIL, "dark")

    assert "@media (min-width: 0) { p { color: #FFFFFF; } }" in dark
    assert "@media screen and (min-width: 0) and (max-width: 480px)" in dark
    assert "@media (max-width: 0) { p { color: #111111; } }" in dark
    assert '<meta name="color-scheme" content="dark" />' in dark
    assert '<meta name="supported-color-schemes" content="dark" />' in dark
    assert "{ color-scheme: dark; }" in dark


@pytest.mark.parametrize("shade", ["light", "inverted", "lightness"])
def test_the_other_copies_are_light_on_a_dark_system(shade: str) -> None:
    """The dark rules never hold, and the browser's own colours are the light ones."""
    copy = shaded(MAIL, shade)  # type: ignore[arg-type]

    assert "@media (max-width: 0) { p { color: #" in copy
    assert "@media (min-width: 0) { p { color: #" in copy
    assert '<meta name="color-scheme" content="light" />' in copy
    assert "{ color-scheme: light; }" in copy
    assert ("filter: invert(1)" in copy) == (shade == "inverted")


@pytest.mark.parametrize("shade", SHADES)
def test_what_the_mail_says_stays_as_it_is(shade: str) -> None:
    """Event data that reads like a style is no style."""
    copy = shaded(MAIL, shade)  # type: ignore[arg-type]

    assert "<p>We write @media (prefers-color-scheme: dark) and color-scheme: dark.</p>" in copy


def test_lightness_is_turned_over_as_it_is_measured() -> None:
    """Every colour becomes the one by which the figure for inverted colours is reckoned."""
    html = (
        "<html><head><style>p { color: #FFDDB3; border-top: 1px solid #036 }</style></head>"
        '<body bgcolor="#FFDDB3"><p style="background:white; margin:0">#FFDDB3 is a colour</p></body></html>'
    )
    copy = shaded(html, "lightness")
    turned = turned_over("#FFDDB3")

    assert f"p {{ color: {turned}; border-top: 1px solid {turned_over('#003366')} }}" in copy
    assert f'<body bgcolor="{turned}"><p style="background:#000000; margin:0">#FFDDB3 is a colour' in copy
    assert "filter" not in copy
