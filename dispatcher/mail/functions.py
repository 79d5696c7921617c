"""What a template may call; everything that depends on the reader takes it from the context.

================= ==============================================================================
``label('x')``    the translated label of a field; ``label('x.y')`` that of column y of table x
``shown('x')``    a field's value as text, by its kind
``window(a, b)``  a window in the reader's zone; `b` may be a duration; ``window_parts(a, b)`` the
                  same in two parts, ``utc(a, b)`` in UTC
filters           ``datetime``, ``short_datetime``, ``date``, ``duration``, ``countdown``,
                  ``days_until``, ``listed``, ``number``, ``translated``, ``cut``, ``wrap``;
                  ``capital`` for a date that begins a line: ``Sábado, 6 de marzo de 2027``;
                  ``<p{{ value|foreign }}>`` marks what upstream said in another language
================= ==============================================================================

Apart from these, ``{% trans %}`` and ``_()`` translate what is written in a template. A variable of
``{% trans %}`` is always bound to a value, never to text that was put together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from jinja2 import pass_context
from jinja2.exceptions import TemplateRuntimeError, UndefinedError
from jinja2.runtime import Context
from markupsafe import Markup

from dispatcher.domain.catalogue import Column, FieldSpec
from dispatcher.domain.said import Said
from dispatcher.mail.locale import Format
from dispatcher.mail.subject import cut, shown
from dispatcher.mail.translations import Translation, to_fill
from dispatcher.mail.wrap import wrap


class NoSuchField(UndefinedError):  # noqa: N818
    """A function was asked about a field that the type does not have."""


def _format(context: Context) -> Format:
    found: Format = context["format"]
    return found


def _texts(context: Context) -> Translation:
    found: Translation = context["translations"]
    return found


def _filled(context: Context, text: str, variables: Mapping[str, Any]) -> str:
    if context.eval_ctx.autoescape:
        return Markup(text) % variables  # noqa: S704 - a translation is part of the template
    return text % variables


def _spec(context: Context, function: str, key: str) -> FieldSpec:
    found: FieldSpec | None = context["type"].fields.get(key)
    if found is None:
        raise NoSuchField(f"{function}({str(key)!r}) names no field of {context['key']}")
    return found


@pass_context
def _gettext(context: Context, message: str, /, **variables: Any) -> str:
    return _filled(context, to_fill(message, _texts(context).gettext(message)), variables)


@pass_context
def _ngettext(context: Context, one: str, many: str, n: int, /, **variables: Any) -> str:
    text = to_fill(one + many, _texts(context).ngettext(one, many, n))
    return _filled(context, text, {"num": n, **variables})


@pass_context
def _pgettext(context: Context, about: str, message: str, /, **variables: Any) -> str:
    return _filled(context, to_fill(message, _texts(context).pgettext(about, message)), variables)


@pass_context
def _label(context: Context, key: str) -> str:
    name, dot, column = key.partition(".")
    spec: FieldSpec | Column = _spec(context, "label", name)
    if dot and isinstance(spec, FieldSpec):
        if column not in spec.columns:
            there = f"; it has {', '.join(spec.columns)}" if spec.columns else ""
            raise TemplateRuntimeError(f"label({key!r}) names no column of {name}{there}")
        spec = spec.columns[column]
    return _texts(context).gettext(spec.label)


@pass_context
def _translated(context: Context, text: str) -> str:
    # For words of the catalogue: they are plain text, so `%` and `<` in them mean nothing.
    return _texts(context).gettext(text)


@pass_context
def _foreign(context: Context, value: object) -> Markup:
    """The attribute that marks a value in another language than the mail's; nothing for one in the mail's."""
    first = value[0] if isinstance(value, tuple) and value else value
    language = first.language if isinstance(first, Said) else context["lang"]
    return Markup("") if language == context["lang"] else Markup(' lang="{}"').format(language)


@pass_context
def _shown(context: Context, key: str) -> str:
    spec, value = _spec(context, "shown", key), context["fields"][key]
    return shown(spec, value, _format(context), _texts(context))


@pass_context
def _window(context: Context, start: datetime, end: datetime | timedelta | None = None) -> str:
    return _format(context).window(start, end)


@pass_context
def _window_parts(
    context: Context, start: datetime, end: datetime | timedelta | None = None
) -> tuple[str, str]:
    return _format(context).window_parts(start, end)


@pass_context
def _utc(context: Context, start: datetime, end: datetime | timedelta | None = None) -> str:
    return _format(context).utc(start, end)


@pass_context
def _countdown(context: Context, moment: date) -> str:
    return _format(context).countdown(moment, context["now"])


@pass_context
def _days_until(context: Context, moment: date) -> int:
    return _format(context).days_until(moment, context["now"])


def _formatted(name: str) -> Callable[..., str]:
    """The method `name` of the reader's `Format`, as a filter."""

    @pass_context
    def format_value(context: Context, value: Any) -> str:
        text: str = getattr(_format(context), name)(value)
        return text

    return format_value


#: The variables that these functions read for themselves.
READ = ("fields", "format", "key", "lang", "now", "translations", "type")
GLOBALS: Mapping[str, Callable[..., Any]] = {
    "gettext": _gettext,
    "ngettext": _ngettext,
    "pgettext": _pgettext,
    "label": _label,
    "shown": _shown,
    "window": _window,
    "window_parts": _window_parts,
    "utc": _utc,
}
FILTERS: Mapping[str, Callable[..., Any]] = {
    "datetime": _formatted("long_datetime"),
    "short_datetime": _formatted("short_datetime"),
    "date": _formatted("long_date"),
    "duration": _formatted("duration"),
    "listed": _formatted("listed"),
    "number": _formatted("number"),
    "countdown": _countdown,
    "days_until": _days_until,
    "translated": _translated,
    "foreign": _foreign,
    "cut": cut,
    "capital": lambda text: f"{text[:1].upper()}{text[1:]}",
    "wrap": wrap,
}
#: Those that need to know of the reader only the language; what they make of a constant is one as well.
FIXED = frozenset(
    (
        *(_gettext, _ngettext, _pgettext, _label, _translated, _foreign),
        *(FILTERS[name] for name in ("duration", "listed", "number")),
    )
)
