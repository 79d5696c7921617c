"""The environments in which templates are rendered, and the variables they may use.

What templates may call is in `dispatcher.mail.functions`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar

from jinja2 import Environment, StrictUndefined, Template, TemplateNotFound, Undefined, nodes
from jinja2.exceptions import TemplateSyntaxError, UndefinedError
from jinja2.meta import find_referenced_templates
from markupsafe import Markup, escape

from dispatcher.domain.catalogue import Banner
from dispatcher.domain.window import Window
from dispatcher.errors import Problem, TemplateInvalid
from dispatcher.mail.functions import FILTERS, GLOBALS
from dispatcher.mail.loader import Loader
from dispatcher.mail.locale import Format
from dispatcher.mail.subject import affected
from dispatcher.mail.translations import Translations
from dispatcher.mail.view import View

_BODY_FONTS = '"Segoe UI", -apple-system, Roboto, "Helvetica Neue", Arial, sans-serif'
_FONTS = {
    "ja": '"Yu Gothic UI", Meiryo, "Hiragino Sans", "Noto Sans CJK JP", "Segoe UI", sans-serif',
    "zh-Hans": '"Microsoft YaHei UI", "Microsoft YaHei", "PingFang SC", "Noto Sans CJK SC", "Segoe UI", '
    "sans-serif",
    "zh-Hant": '"Microsoft JhengHei UI", "PingFang TC", "Noto Sans CJK TC", "Segoe UI", sans-serif',
}
_UNKNOWN = re.compile(r"No (filter|test) named '([^']*)'")


class Missing(UndefinedError):  # noqa: N818
    """A template uses something of an object that has no such thing.

    Attributes:
        obj: The object.
        name: What it does not have.
    """

    def __init__(self, obj: Any, name: Any, message: str) -> None:
        """Keep what is missing of what."""
        super().__init__(message)
        self.obj = obj
        self.name = name


class MailEnvironment(Environment):
    """Jinja's environment, in which `fields.items` is the field of that name and faults have a place."""

    def __init__(self, **options: Any) -> None:
        """Make one.

        Args:
            options: Jinja's own.
        """
        super().__init__(**options)
        self._named: dict[str, tuple[str, frozenset[str | None]]] = {}
        self._compiled: dict[str, tuple[str, CodeType]] = {}

    def references(self, name: str, source: str) -> tuple[str, ...]:
        """The templates that a template extends, imports or includes; it is read only if it is new here."""
        return tuple(sorted(filter(None, self._references(name, source))))

    def names_all(self, name: str, source: str) -> bool:
        """Whether a template says the names of all these; others are found out while it is rendered."""
        return None not in self._references(name, source)

    def _references(self, name: str, source: str) -> frozenset[str | None]:
        known = self._named.get(name)
        if known is None or known[0] != source:
            self.parse(source, name)
        return self._named[name][1]

    def code(self, source: str, name: str, filename: str | None) -> CodeType:
        """The code of a template; environments that differ in nothing but what they note have the same."""
        known = self._compiled.get(name)
        if known is None or known[0] != source:
            compiled: CodeType = super().compile(source, name, filename)
            known = self._compiled[name] = source, compiled
        return known[1]

    def compile(self, source: Any, name: Any = None, filename: Any = None, *args: Any) -> Any:
        """As Jinja does; what has a name is kept."""
        if args or name is None or not isinstance(source, str):
            return super().compile(source, name, filename, *args)
        return self.code(source, name, filename)

    def _remedy(self, message: str) -> str:
        unknown = _UNKNOWN.match(message)
        known = self.filters if unknown and unknown[1] == "filter" else self.tests
        close = difflib.get_close_matches(unknown[2], list(known), 1) if unknown else []
        return f"did you mean {close[0]}?" if close else "mend that line"

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        # To compile a template reads it as well: what it refers to is noted on the way.
        tree = super()._parse(source, name, filename)
        if name is not None:
            self._named[name] = source, frozenset(find_referenced_templates(tree))
        return tree

    def getattr(self, obj: Any, attribute: str) -> Any:
        """An item of a mapping before its methods; anything else as Jinja does."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return self._or_missing(super().getattr(obj, attribute), obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """As Jinja does."""
        return self._or_missing(super().getitem(obj, argument), obj, argument)

    def _or_missing(self, found: Any, obj: Any, name: Any) -> Any:
        if isinstance(found, Undefined):
            return self.undefined(obj=obj, name=name, exc=partial(Missing, obj, name))  # type: ignore[arg-type]
        return found

    def get_template(self, name: Any, *args: Any, **kwargs: Any) -> Template:
        """The compiled template `name`.

        Raises:
            TemplateInvalid: It is not there, is not Jinja, or holds what no mail may hold.
        """
        try:
            return super().get_template(name, *args, **kwargs)
        except TemplateSyntaxError as error:
            where = f"templates/{error.name}:{error.lineno}"
            what = f"cannot be read: {str(error.message).rstrip('.')}"
            raise TemplateInvalid(Problem(where, what, self._remedy(str(error.message)))) from None
        except TemplateNotFound as error:
            fix = "write the file, or correct `template` in catalogue.yaml"
            raise TemplateInvalid(Problem(f"templates/{error.name}", "does not exist", fix)) from None


_Kind = TypeVar("_Kind", bound=MailEnvironment)


def own_files(template: str) -> tuple[str, str]:
    """The files of a template: HTML and plain text."""
    return f"{template}.html.j2", f"{template}.txt.j2"


def html_environment(templates: Path, *, finalize: Callable[..., Any] | None = None) -> MailEnvironment:
    """The environment of ``*.html.j2``: every value is escaped, what is undefined is an error.

    Args:
        templates: The folder of templates.
        finalize: What Jinja calls with everything that ``{{ }}`` outputs.
    """
    return furnished(MailEnvironment, templates, autoescape=True, finalize=finalize)


def text_environment(templates: Path, *, finalize: Callable[..., Any] | None = None) -> MailEnvironment:
    """The environment of ``*.txt.j2``: nothing is escaped, what is undefined is an error; see above."""
    return furnished(MailEnvironment, templates, autoescape=False, finalize=finalize)


def furnished(kind: Callable[..., _Kind], templates: Path, **options: Any) -> _Kind:
    """An environment of this kind, with what the templates of a folder may use.

    Args:
        kind: Makes one of the kind.
        templates: The folder of templates.
        options: Jinja's own.
    """
    environment = kind(loader=Loader(templates), **_OPTIONS, **options)
    environment.policies["ext.i18n.trimmed"] = True
    environment.newstyle_gettext = True  # type: ignore[attr-defined]
    environment.globals.update(GLOBALS)
    environment.filters.update(FILTERS)
    return environment


def context_for(
    view: View, translations: Translations, *, recipient: str, unsubscribe: str = "", decide: str = ""
) -> dict[str, Any]:
    """The variables of a template.

    Args:
        view: What the mail says, and to what kind of reader.
        translations: Every language's texts. The mail, its dates included, is in the reader's language
            where the type is written in it and there are translations, else in English.
        recipient: The reader's address, or a `Markup` token to put it in place of later.
        unsubscribe: Where an optional type can be opted out of; likewise.
        decide: Where an admin approves a date or chooses another, if the event does not say; likewise.
    """
    texts = translations.find(view.type.language_for(view.language))
    return {
        "key": view.key,
        "type": view.type,
        "fields": view.fields,
        "instance": view.instances[0],
        "instances": view.instances,
        "affected": affected(view, texts),
        "service": view.service,
        "sender": view.sender,
        "roles": view.roles,
        "now": view.now,
        "calendar_attached": view.calendar_attached,
        "moved_from": _span(view.moved_from),
        "banner": _banner(view.banner),
        # Structure, not data: these decide what a mail program makes of the text around them.
        "lang": Markup(texts.language),  # noqa: S704
        "direction": Markup("ltr"),
        "fonts": Markup(_FONTS.get(texts.language, _BODY_FONTS)),  # noqa: S704
        "recipient_address": recipient,
        "unsubscribe_url": unsubscribe,
        "decide_url": view.fields.get("decide_url") or decide,
        "time_zone": view.time_zone,
        "format": Format(texts.language, view.time_zone),
        "translations": texts,
    }


def _span(window: Window | None) -> dict[str, datetime] | None:
    return {"start": window.starts_at, "end": window.ends_at} if window else None


def _banner(banner: Banner) -> dict[str, Any]:
    # Colours were checked to be #RRGGBB; the cue is free text.
    return {
        "label": banner.label,
        "cue": escape(banner.cue),
        "background": Markup(banner.background),  # noqa: S704
        "text": Markup(banner.text),  # noqa: S704
        "dark": {
            "background": Markup(banner.dark.background),  # noqa: S704
            "text": Markup(banner.dark.text),  # noqa: S704
        },
    }


_OPTIONS: dict[str, Any] = {
    "undefined": StrictUndefined,
    "extensions": ["jinja2.ext.i18n"],
    "trim_blocks": True,
    "lstrip_blocks": True,
}
