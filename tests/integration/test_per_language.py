"""An event whose words are given per language, and what readers of three languages get."""

from __future__ import annotations

import re
import shutil
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from program import PROJECT
from way import Way

READERS = """\
instance: contoso-prod
name: Contoso Production
time_zone: Europe/Berlin
admins:
  - {address: de@contoso.example, language: de}
  - {address: fr@contoso.example, language: fr}
  - {address: ja@contoso.example, language: ja}
"""


def marked(html: str) -> list[str]:
    """What the mail says to be English, in its order and once."""
    found = re.findall(r'<(?:p|h1|h2|span)\b[^>]*\blang="en"[^>]*>\s*([^<]*?)\s*<', html)
    return list(dict.fromkeys(found))


async def test_each_reader_gets_their_words_or_the_english_ones(way: Way) -> None:
    """Subject and body are in the reader's language where the event gives it, else marked as English."""
    shutil.copytree(PROJECT / "locales", way.root / "locales")
    (way.root / "recipients" / "contoso-prod.yaml").write_text(READERS, encoding="utf-8")
    await way.go(
        "general-awareness",
        headline={"en": "A new search", "de": "Eine neue Suche", "ja": "新しい検索"},
        body={"en": "It is faster.", "de": "Sie ist schneller.\n\nProbieren Sie sie aus."},
        action="Nothing.",
        act_by=None,
    )
    mails = {}
    for kept in way.server.kept:
        message = message_from_bytes(kept.message, policy=default)
        assert isinstance(message, EmailMessage)
        mails[str(message["Content-Language"])] = message
    html = {}
    for language, mail in mails.items():
        part = mail.get_body(("html",))
        assert part is not None
        html[language] = part.get_content()

    assert {language: str(mail["Subject"]) for language, mail in mails.items()} == {
        "de": "Eine neue Suche: Contoso Production",
        "fr": "A new search : Contoso Production",
        "ja": "新しい検索：Contoso Production",
    }
    assert "Probieren Sie sie aus." in html["de"]
    assert marked(html["de"]) == ["Nothing."]
    assert marked(html["fr"]) == ["It is faster.", "A new search", "Nothing."]
    assert marked(html["ja"]) == ["It is faster.", "Nothing."]
