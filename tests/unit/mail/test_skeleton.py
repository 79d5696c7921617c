from __future__ import annotations

import pytest

from dispatcher.mail.clients import used
from dispatcher.mail.contrast import pairs
from dispatcher.mail.lint import _parsed
from dispatcher.mail.skeleton import _parts, looks

MAIL = """\
<html lang="{lang}"><head><title>{word}</title><style>{css}</style></head>
<body><div aria-label="{word}" lang="{lang}">
<h1 style="color: {ink}">{word}</h1><p>{more}</p></div></body></html>
"""


def mail(lang: str = "en", word: str = "News", css: str = "", ink: str = "#111111", more: str = "x") -> str:
    return MAIL.format(lang=lang, word=word, css=css, ink=ink, more=more)


def key(html: str) -> list[tuple[object, ...]]:
    return list(_parts(_parsed(html)))


def test_other_words_make_no_other_skeleton() -> None:
    """The same mail in another language is looked at once."""
    assert key(mail()) == key(mail("de", "Neues", more="mehr"))
    assert looks(_parsed(mail())) is looks(_parsed(mail("de", "Neues")))


@pytest.mark.parametrize(
    "other",
    [
        mail(ink="#AAAAAA"),
        mail(more=""),
        mail(more="<b>x</b>"),
        mail(css="p { color: red }"),
        mail(more="</p><p>x"),
    ],
)
def test_what_can_be_seen_makes_another_skeleton(other: str) -> None:
    """Colours, styles, elements, and whether there is text at all."""
    assert key(mail()) != key(other)


def test_where_styles_go_by_the_language_it_counts() -> None:
    """A rule for `:lang(ja)` tells mails apart that differ in nothing else."""
    css = ":lang(ja) { color: #AAAAAA }"

    assert key(mail("en", css=css)) != key(mail("ja", css=css))


def test_what_is_shared_is_what_would_be_found() -> None:
    """The pairs and features are those of the document itself."""
    document = _parsed(mail("ja"))

    assert looks(document) == (pairs(document), used(document))
