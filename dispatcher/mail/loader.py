"""Templates as files of one folder, without what does not belong into a mail."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from jinja2 import BaseLoader, Environment, TemplateNotFound
from jinja2.loaders import split_template_path

from dispatcher.errors import Problem, TemplateInvalid

# premailer fetches an @import even when told not to, and no mail program runs a script.
#: What may not stand in a template, and what to do instead.
_REFUSED = (
    (re.compile(r"@import|<link\b", re.IGNORECASE), "write styles into base.html.j2"),
    (re.compile(r"<(?:script|iframe|object|embed|form)\b", re.IGNORECASE), "say it in text and a link"),
    (
        re.compile(r"\s(on[a-z]{3,20})\s*=\s*[\"']", re.IGNORECASE),
        "mails do nothing by themselves; leave it out",
    ),
    (
        re.compile(r"javascript:|vbscript:|data:text", re.IGNORECASE),
        "link to an http, https or mailto address",
    ),
    (re.compile(r"<img\b[^>]*\bsrc\s*=\s*[\"']?https?:", re.IGNORECASE), "leave out images from outside"),
    (re.compile(r"\|\s*safe\b"), "let the value be escaped; structure belongs into the template"),
)


class Loader(BaseLoader):
    """Reads templates from one folder, and refuses what does not belong into a mail."""

    def __init__(self, templates: Path) -> None:
        """Read from `templates`."""
        self._root = templates.resolve()

    def get_source(
        self,
        environment: Environment,  # noqa: ARG002 - Jinja's signature
        template: str,
    ) -> tuple[str, str, Callable[[], bool]]:
        """The text of a template, its file, and what tells whether that is still the same.

        Raises:
            TemplateInvalid: It lies outside, is not UTF-8, or holds what no mail may hold.
            TemplateNotFound: There is no such file.
        """
        file = self._root.joinpath(*split_template_path(template)).resolve()
        where = f"templates/{template}"
        if not file.is_relative_to(self._root):
            fix = "keep templates inside the folder templates/, without links that lead out"
            raise TemplateInvalid(Problem(where, "leads out of the folder of templates", fix))
        try:
            changed, source = file.stat().st_mtime_ns, file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise TemplateInvalid(Problem(where, f"is not UTF-8: {error}")) from None
        except OSError:
            raise TemplateNotFound(template) from None
        _refuse(source, where)
        return source, str(file), partial(_is_unchanged, str(file), changed)

    def list_templates(self) -> list[str]:
        """The names of all templates."""
        files = self._root.rglob("*.j2")
        return sorted(file.relative_to(self._root).as_posix() for file in files)


def _refuse(source: str, where: str) -> None:
    for number, line in enumerate(source.splitlines(), 1):
        for pattern, fix in _REFUSED:
            if found := pattern.search(line):
                what = f"{found[0].strip()!r} may not stand in a mail"
                raise TemplateInvalid(Problem(f"{where}:{number}", what, fix))


def _is_unchanged(file: str, changed: int) -> bool:
    try:
        return os.stat(file).st_mtime_ns == changed  # noqa: PTH116 - for every mail and file, so it must be quick
    except OSError:
        return False
