"""Why a template cannot be rendered, told so that its author can put it right."""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2.environment import TemplateModule
from jinja2.exceptions import UndefinedError

from dispatcher.errors import Problem
from dispatcher.mail.environment import Missing, own_files
from dispatcher.mail.functions import NoSuchField

_QUOTED = re.compile(r"'([^']*)'")


def told(error: Exception, templates: Path, context: Mapping[str, Any], known: Iterable[str]) -> Problem:
    """What is wrong, where, and what was meant perhaps.

    Args:
        error: What came out of rendering.
        templates: The folder of templates.
        context: What the template may use.
        known: What all templates may use.
    """
    found = located(error, templates, context["type"].template)
    if isinstance(error, UndefinedError):
        return replace(found, fix=_meant(error, context, known))
    if isinstance(error, RecursionError):
        return replace(found, fix="see to it that every macro comes to an end")
    if isinstance(error, TypeError) and "NoneType" in str(error):
        fix = "an event may leave a field out; test optional ones with {% if %} first"
        return replace(found, fix=fix)
    return found


def located(error: Exception, templates: Path, template: str) -> Problem:
    """Where in which template `error` arose, for an error that came out of rendering.

    Args:
        error: The error.
        templates: The folder of templates.
        template: The type's own; where a macro of another file fails, the place that calls it is told first.
    """
    root = templates.resolve()
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if Path(frame.filename).is_relative_to(root)]
    if not inside:
        return Problem("templates", f"cannot be rendered: {error}")
    where = [(Path(frame.filename).relative_to(root).as_posix(), frame.lineno) for frame in inside]
    own = own_files(template)
    calls = len(inside) - 1
    # To Jinja, blocks and whole templates have names, and macros have none.
    while calls and where[calls][0] not in own and inside[calls].name == "template":
        calls -= 1
    name, line = where[calls]
    if calls == len(inside) - 1 or name not in own:
        return Problem(f"templates/{where[-1][0]}:{where[-1][1]}", f"cannot be rendered: {error}")
    deeper = f"templates/{where[-1][0]}:{where[-1][1]}"
    return Problem(f"templates/{name}:{line}", f"cannot be rendered, in {deeper}: {error}")


def _meant(error: UndefinedError, context: Mapping[str, Any], known: Iterable[str]) -> str:
    """What there is in place of what is not there, and what was meant perhaps."""
    wrong, names = _QUOTED.findall(str(error)), iter([*context, *known])
    obj, what, hint = getattr(error, "obj", None), "a template may use", ""
    if isinstance(error, NoSuchField):
        names, what = iter(context["type"].fields), f"the fields of {context['key']} are"
    elif obj is context["fields"]:
        names, what = iter(obj), f"the fields of {context['key']} are"
        hint = "; test optional ones with fields.get()"
    elif isinstance(obj, Mapping):
        names, what = iter(map(str, obj)), _row(obj, context)
    elif isinstance(obj, TemplateModule):
        names, what = iter(vars(obj)), "what the file has is"
    elif isinstance(error, Missing):
        return ""
    shown = sorted(name for name in names if not name.startswith("_"))
    close = difflib.get_close_matches(wrong[-1], shown, 1) if wrong else []
    listed = f"{what} {', '.join(shown)}{hint}"
    return f"did you mean {close[0]}? {listed[0].upper()}{listed[1:]}" if close else listed


def _row(obj: Mapping[Any, Any], context: Mapping[str, Any]) -> str:
    """What the names of a mapping are: the columns of a table, mostly."""
    for name, spec in context["type"].fields.items():
        if spec.kind == "table" and any(row is obj for row in context["fields"].get(name) or ()):
            return f"the columns of {name} are"
    return "what it has is"
