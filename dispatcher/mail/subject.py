"""The subject line, and a field's value in words."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from dispatcher.domain.catalogue import FieldSpec
from dispatcher.mail.locale import Format
from dispatcher.mail.translations import Translation, Translations
from dispatcher.mail.view import View

SUBJECT_LENGTH = 150  # more is cut by every mail program that shows a list of mails
_SHORTEST_CUT = 12  # a value that is cut further than this says nothing any more
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_UNREADABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def subject(view: View, translations: Translations) -> str:
    """The subject of a mail: one line of at most `SUBJECT_LENGTH` characters.

    The type's subject is translated first; then each ``{placeholder}`` becomes the field's value, the
    instance (``{instance}``) or the service (``{service}``). Where the line is too long, the longest texts
    of the event are cut; its dates never are. A subject that names what no plan knows yet, such as the
    version of an update that was moved before it was announced, gives way to the type's title. So does that
    of an event that is not mailed yet: the subject is made for the mail, which follows later.
    """
    text = _subject(view)
    later = view.type.mail_when and view.fields.get(view.type.mail_when.field) is None
    named = (key for key in _PLACEHOLDER.findall(text) if key in view.type.fields)
    if not later and all(view.fields.get(key) is not None for key in named):
        return titled(text, view, translations)
    texts = translations.find(view.type.language_for(view.language))
    parts = {"label": texts.gettext(view.type.title), "value": affected(view, texts)}
    return cut(texts.gettext("%(label)s: %(value)s") % parts, SUBJECT_LENGTH)


def _subject(view: View) -> str:
    calendar = view.type.calendar
    if calendar and calendar.cancelled_subject and view.fields.get(calendar.cancelled or ""):
        return calendar.cancelled_subject
    if calendar and calendar.moved_subject and view.moved_from:
        return calendar.moved_subject
    return view.type.subject


def titled(text: str, view: View, translations: Translations) -> str:
    """A line of the catalogue with placeholders, such as a subject, translated and filled; see `subject`."""
    texts = translations.find(view.type.language_for(view.language))
    pieces = _PLACEHOLDER.split(texts.gettext(text))
    format_ = Format(texts.language, view.time_zone)
    cuttable: list[int] = []
    for index in range(1, len(pieces), 2):
        key, pieces[index] = pieces[index], _value(view, pieces[index], format_, texts)
        spec = view.type.fields.get(key)
        if spec is None or spec.kind not in {"datetime", "date", "duration"}:
            cuttable.append(index)
    _shorten(pieces, cuttable)
    return _UNREADABLE.sub(" ", "".join(pieces)).strip()[:SUBJECT_LENGTH].rstrip()


def affected(view: View, texts: Translation) -> str:
    """The instances in few words: ``Contoso Production``, or ``Contoso Production and 3 more``."""
    first, others = view.instances[0].title, len(view.instances) - 1
    if not others:
        return first
    number = Format(texts.language, view.time_zone).number(others)
    text = texts.ngettext("%(instance)s and %(number)s more", "%(instance)s and %(number)s more", others)
    return text % {"instance": first, "number": number}


def shown(spec: FieldSpec, value: object, format_: Format, texts: Translation) -> str:
    """A field's single value as text; lists and tables are for templates to lay out."""
    if isinstance(value, bool):
        return texts.gettext("Yes") if value else texts.gettext("No")
    if isinstance(value, datetime):
        return format_.long_datetime(value)
    if isinstance(value, date):
        return format_.long_date(value)
    if isinstance(value, timedelta):
        return format_.duration(value)
    if isinstance(value, int):
        return format_.number(value)
    if isinstance(value, tuple):
        return format_.listed([shown(spec, item, format_, texts) for item in value])
    return texts.gettext(spec.choices[str(value)]) if spec.kind == "choice" else _worded(value)


def _worded(value: object) -> str:
    # Text keeps its language, so that a template can mark it.
    return value if isinstance(value, str) else str(value)


def _value(view: View, key: str, format_: Format, texts: Translation) -> str:
    if key == "instance":
        return affected(view, texts)
    if key == "service":
        return view.service.name
    value, spec = view.fields.get(key), view.type.fields.get(key)
    if value is None or spec is None:
        return ""
    if isinstance(value, datetime):
        return format_.short_datetime(value)
    if isinstance(value, date):
        return format_.short_date(value)
    return _UNREADABLE.sub(" ", shown(spec, value, format_, texts)).strip()


def cut(text: str, length: int) -> str:
    """`text` in at most `length` characters, ended with ``…`` where something is left out."""
    if len(text) <= length:
        return text
    return text[: length - 1].rstrip(" ,;:.–-") + "…"


def _shorten(pieces: list[str], cuttable: list[int]) -> None:
    """Cut the pieces that may be cut, all to the same length, until the line fits."""
    room = SUBJECT_LENGTH - sum(len(piece) for index, piece in enumerate(pieces) if index not in cuttable)
    for limit in range(SUBJECT_LENGTH, _SHORTEST_CUT - 1, -1):
        if sum(min(len(pieces[index]), limit) for index in cuttable) <= room:
            break
    for index in cuttable:
        pieces[index] = cut(pieces[index], limit)
