from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lxml import html as lxml_html  # type: ignore[import-untyped]

from dispatcher.mail import lint
from dispatcher.mail.clients import ALLOWED, used
from dispatcher.mail.contrast import pairs
from dispatcher.mail.lint import findings, measure
from dispatcher.mail.stylesheet import Colour, background, colour, declarations, read

MESSAGE = b"Content-Language: en\r\n\r\nHello\r\n"
STYLE = "<style>{}</style>"
#: As good as a mail gets, and as short.
GOOD = (
    '<!DOCTYPE html><html lang="en"><head><title>T</title>{style}</head><body>'
    '<div role="article" lang="en"><div style="display:none">Soon.</div>'
    '<table role="presentation"><tr><td style="background-color:#FFFFFF; color:#242424">'
    "<h1>Heading</h1>{content}</td></tr></table></div></body></html>"
)


def mail(content: str = "<p>Words</p>", style: str = "") -> str:
    return GOOD.format(content=content, style=style)


def rules(html: str, text: str = "Words", message: bytes = MESSAGE) -> list[str]:
    return [one.rule for one in findings(html, text, message)]


def test_a_good_mail_has_no_findings() -> None:
    """The frame that the other tests break is whole itself."""
    assert findings(mail(), "Words", MESSAGE) == []


BROKEN = {
    "no title": (mail().replace("<title>T</title>", "<title> </title>"), "title"),
    "no lang": (mail().replace('<html lang="en">', "<html>"), "lang"),
    "no lang on the wrapper": (mail().replace('role="article" lang="en"', ""), "lang"),
    "no heading": (mail().replace("h1>", "h3>"), "h1"),
    "two headings": (mail("<h1>Two</h1>"), "h1"),
    "an image without alt": (mail('<img src="cid:x">'), "alt"),
    "a table without role": (mail("<table><tr><td>x</td></tr></table>"), "table-role"),
    "a zero-width space": (mail("<p>a&#8203;b</p>"), "invisible"),
    "a combining grapheme joiner": (mail("<p>&#847;</p>"), "invisible"),
    "no preheader": (mail().replace("Soon.", ""), "preheader"),
    "a long preheader": (mail().replace("Soon.", "x" * 91), "preheader"),
    "a plain link": (mail('<a href="http://a.example/" style="color:#000">x</a>'), "https"),
    "faint text": (mail('<p style="color:#767676">x</p>'), "contrast-light"),
    "flex": (mail('<p style="display:flex">x</p>'), "feature css-display-flex"),
    "a form field": (mail('<input type="text">'), "feature html-input-text"),
    "an animation": (
        mail(style=STYLE.format("@keyframes a { from { top: 0 } }")),
        "feature css-at-keyframes",
    ),
    "a hover": (mail(style=STYLE.format("p:hover { color: #000 }")), "feature css-pseudo-class-hover"),
    "too much": (mail("<p>" + "x" * 30_000 + "</p>"), "html-size"),
    "too much style": (mail(style=STYLE.format("p { margin: 0 } " * 600)), "style-size"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_fault_is_found_by_its_rule(name: str) -> None:
    """One fault, one rule; each with a remedy."""
    html, rule = BROKEN[name]
    found = findings(html, "Words", MESSAGE)

    assert {one.rule for one in found} - {"contrast-inverted", "contrast-dark"} == {rule}
    assert all(one.what and one.fix for one in found)


def test_faults_of_the_message_are_found() -> None:
    """Lines, size, 7-bit and the language are the message's; the URL to unsubscribe may be long."""
    unsubscribe = b"List-Unsubscribe: <https://n.example/" + b"x" * 200 + b">\r\n"

    assert rules(mail(), message=unsubscribe + MESSAGE) == []
    assert rules(mail(), message=MESSAGE + b"x" * 79) == ["line"]
    assert rules(mail(), message=MESSAGE + b"x\r\n" * 20_000) == ["message-size"]
    assert rules(mail(), message=MESSAGE + "ä".encode()) == ["7-bit"]
    assert rules(mail(), message=b"Content-Language: de\r\n\r\n") == ["lang"]
    assert rules(mail(), text="a\u200bb") == ["invisible"]


def test_only_what_nobody_can_read_is_an_error() -> None:
    """Below 4.5 is an error, between that and the 7 of body text a warning."""
    faint, weak = mail('<p style="color:#AAAAAA">x</p>'), mail('<p style="color:#6E6E6E">x</p>')

    assert [one.error for one in findings(faint, "", MESSAGE) if one.rule == "contrast-light"] == [True]
    assert [one.error for one in findings(weak, "", MESSAGE) if one.rule == "contrast-light"] == [False]


def lowest(html: str) -> dict[str, float]:
    found = measure(html, MESSAGE)
    return {name: round(getattr(found, f"contrast_{name}"), 1) for name in ("light", "dark", "inverted")}


DARK = (
    "@media (prefers-color-scheme: dark) { td { background-color: #000 !important; color: #FFF !important } }"
)
CASCADE = {
    "inherited": (mail(), "", 15.5),
    "bgcolor": (mail('<table role="presentation"><tr><td bgcolor="#242424">x</td></tr></table>'), "", 1.0),
    "style over bgcolor": (mail('<div bgcolor="#242424" style="background-color:#FFF">x</div>'), "", 15.5),
    "hidden text": (mail('<p style="display:none; color:#FFF">x</p>'), "", 15.5),
    "a link in its own colour": (mail('<a style="color:#FFF">x</a>'), "", 1.0),
    "half covered": (mail('<p style="color:#000;background:rgba(0,0,0,.5)">x</p>'), "", 5.3),
    "a rule of <style>": (mail('<p class="x">x</p>', STYLE.format(".x { color: #FFF }")), "", 1.0),
    "style over a rule": (
        mail('<p class="x" style="color:#000">x</p>', STYLE.format(".x { color: #FFF }")),
        "",
        15.5,
    ),
    "important over style": (
        mail('<p class="x" style="color:#000">x</p>', STYLE.format(".x { color: #FFF !important }")),
        "",
        1.0,
    ),
    "an unknown selector": (
        mail(style=STYLE.format("p:::x { color: #FFF } p:hover { color: #FFF }")),
        "",
        15.5,
    ),
}


@pytest.mark.parametrize("name", CASCADE)
def test_contrast_follows_the_cascade(name: str) -> None:
    """What a reader sees is what counts: inheritance, importance and what lies behind."""
    html, _, ratio = CASCADE[name]

    assert lowest(html)["light"] == ratio


def test_dark_rules_count_in_the_dark_only() -> None:
    """Media queries and Outlook's marks each make a dark mail; the light one is as it was."""
    media = lowest(mail('<p style="color:#111">x</p>', STYLE.format(DARK)))
    outlook = lowest(mail(style=STYLE.format("[data-ogsb] td { background-color: #242424 !important }")))

    assert (media["light"], media["dark"]) == (15.5, 1.1)
    assert (outlook["light"], outlook["dark"]) == (15.5, 1.0)


def test_links_and_what_stands_outside_the_heading_s_cell_are_no_body_text() -> None:
    """Body text asks for more contrast; a link or the foot does not."""
    document = lxml_html.document_fromstring(mail('<p>x <a style="color:#115EA3">y</a></p>'))
    found = {(pair.ink, pair.body) for pair in pairs(document) if pair.mode == "light"}

    assert found == {("#242424", True), ("#115EA3", False)}


VALUES = (
    ("#abc", Colour("#AABBCC")),
    ("#AABBCC80", Colour("#AABBCC", 128 / 255)),
    ("white", Colour("#FFFFFF")),
    ("rgb(1, 2, 3)", Colour("#010203")),
    ("rgb(100% 0% 0% / 50%)", Colour("#FF0000", 0.5)),
    ("rgba(0,0,0,.25)", Colour("#000000", 0.25)),
    ("transparent", Colour("#000000", 0.0)),
    ("inherit", None),
    ("var(--x)", None),
    ("rgb(1,2)", None),
    ("rgb(a,b,c)", None),
)


@pytest.mark.parametrize(("value", "found"), VALUES)
def test_colours_are_read_as_css_writes_them(value: str, found: Colour | None) -> None:
    """Hexadecimal, named and functional colours; what is none is nothing."""
    assert colour(value) == found


def test_a_ground_is_found_in_the_shorthand() -> None:
    """`background` may hold more than a colour."""
    assert background("background", "url(x.png) no-repeat #FFF") == Colour("#FFFFFF")
    assert background("border", "#FFF") is None


def test_a_semicolon_in_quotes_ends_no_declaration() -> None:
    """Values are split where CSS splits them."""
    said = declarations("font-family: 'A;B', serif; color: #000 !important; broken")

    assert [(one.name, one.value, one.important) for one in said] == [
        ("font-family", "'A;B', serif", False),
        ("color", "#000", True),
    ]


def test_a_style_sheet_gives_rules_and_conditions() -> None:
    """Each rule has its selectors, and the media that it is for."""
    sheet = read("a, b { color: #000 } @media print { c { color: #FFF } } @supports (x) { d { top: 0 } }")

    assert [(rule.selectors, rule.media) for rule in sheet.rules][:2] == [(("a", "b"), ""), (("c",), "print")]
    assert {"media", "supports"} <= sheet.at


def features(html: str) -> dict[str, Any]:
    return {one.slug: one for one in used(lxml_html.document_fromstring(html))}


def test_a_feature_names_the_programs_that_lack_it() -> None:
    """The data says who; the allow-list says which features may be used all the same."""
    found = features(mail('<p style="box-shadow: 0 0 4px #000">x</p>'))

    assert "outlook.windows" in found["css-box-shadow"].clients
    assert found["css-box-shadow"].needle == "box-shadow"
    assert not found["css-box-shadow"].allowed
    assert features(mail('<p aria-hidden="true">x</p>'))["html-aria-hidden"].allowed
    assert all(len(reason) > 20 for reason in ALLOWED.values())


def test_what_stands_in_a_media_query_is_no_gap() -> None:
    """Only programs that know the query read it."""
    assert "css-display-flex" not in features(
        mail(style=STYLE.format("@media print { p { display: flex } }"))
    )


def test_an_empty_mail_is_measured_all_the_same() -> None:
    """Whatever a template makes is looked at without an exception."""
    assert measure("", b"").contrast_light == 21.0
    assert "title" in rules("")
    assert replace(measure("", b""), gaps=0).gaps == 0
    assert lint.Finding("x", "y", "z").needle == ""
