"""Where in a root something stands that was seen in a mail."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dispatcher.files.source import Document, KeyPath

_REFERENCE = re.compile(r"""{%-?\s*(?:extends|import|include|from)\s+["']([^"']+)["']""")
_COMMENT = re.compile(r"{#.*?#}", re.DOTALL)


class Places:
    """Finds the lines of templates and of the catalogue.

    Args:
        templates: The folder of templates.
        document: ``catalogue.yaml`` as it was read.
    """

    def __init__(self, templates: Path, document: Document) -> None:
        self._templates = templates
        self._document = document
        self._sources: dict[str, str] = {}

    def names(self, template: str) -> Iterator[str]:
        """The files of a template: its own HTML and text, then whatever these extend, import or include."""
        todo = [f"{template}.html.j2", f"{template}.txt.j2"]
        seen = set()
        while todo:
            name = todo.pop(0)
            if name not in seen:
                seen.add(name)
                yield name
                todo += _REFERENCE.findall(self.source(name))

    def source(self, name: str) -> str:
        """What a template says, without its comments; empty if it cannot be read."""
        if name not in self._sources:
            try:
                text = (self._templates / name).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                text = ""
            # The lines stay, for they are counted.
            self._sources[name] = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
        return self._sources[name]

    def of(self, needles: Sequence[str], template: str, path: KeyPath) -> str:
        """The line that has one of `needles`: of the template itself, else of what it extends or imports.

        Else the value of the catalogue that has one, else what stands in the catalogue at `path`.
        """
        files = list(self.names(template)) if template else []
        for some in (files[:2], files[2:]):  # what an author wrote for this type is the likelier cause
            for needle in needles:
                pattern = _pattern(needle)
                for name in some:
                    if found := pattern.search(self.source(name)):
                        return self.line(name, found.start())
        return next(self._values(needles), None) or self._document.where(path, key=True)

    def line(self, name: str, at: int) -> str:
        """The line of a template in which its character number `at` stands."""
        return f"{self._templates.name}/{name}:{self.source(name).count(chr(10), 0, at) + 1}"

    def field(self, key: str, name: str) -> str:
        """The line of a type's field."""
        return self._document.where(("types", key, "fields", name), key=True)

    def _values(self, needles: Sequence[str]) -> Iterator[str]:
        for path, value in texts(self._document.data):
            if any(len(needle) > 8 and needle in value for needle in needles):
                yield self._document.where(path)

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every text of the catalogue with its place."""
        for path, value in texts(self._document.data):
            yield self._document.where(path), value

    def templates(self) -> list[str]:
        """The names of all templates."""
        return sorted(file.relative_to(self._templates).as_posix() for file in self._templates.rglob("*.j2"))


def _pattern(needle: str) -> re.Pattern[str]:
    # `#FFF` is not the beginning of `#FFFFDD`.
    return re.compile(re.escape(needle) + r"(?![\w-])" * (needle[-1:].isalnum()), re.IGNORECASE)


def texts(data: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Every text in what a YAML file says, with its path."""
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from texts(value, (*path, key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from texts(value, (*path, number))
