"""``catalogue.yaml``: read, checked as a whole, and refused with every problem at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.coherence import problems_of
from dispatcher.errors import CatalogueInvalid, Problem
from dispatcher.files.source import MAX_BYTES, Document, KeyPath, dotted, parse
from dispatcher.files.validation import Guide, in_order, problem_at, problems_of_error

_IN_QUOTES = 'write the colour in quotes, like "#FFDDB3"; without them # begins a comment'
_GUIDE = Guide(
    Catalogue,
    hints={
        "version": "add `version: 1`",
        "service": "add `service: {name: …}`, the application that the mails speak of",
        "senders": "add `senders: {default: {address: …, name: …}}`",
        "banners": "add `banners:` with at least one banner below it",
        "types": "add `types:` with at least one communication type below it",
        "*.background": _IN_QUOTES,
        "*.text": _IN_QUOTES,
        "*.fields": "describe a field below it, or write `fields: {}` for none",
    },
)


def load_catalogue(path: Path, *, templates: Path | None = None) -> Catalogue:
    """The catalogue in the file `path`.

    Args:
        path: The file.
        templates: The folder in which each type's ``<template>.html.j2`` and ``.txt.j2`` must exist; None
            to leave that unchecked.

    Raises:
        CatalogueInvalid: The file is missing or wrong; with every problem, in the order of the file. Whether
            entries fit together is looked at once each is right by itself.
    """
    document = parse(_read(path), path.name)
    catalogue, problems = _checked(document, templates)
    if problems or catalogue is None:
        raise CatalogueInvalid(in_order(problems))
    return catalogue


def rough_words(path: Path) -> frozenset[str]:
    """The words that recipient files may use, as far as a faulty catalogue tells; empty if it does not."""
    try:
        data = parse(_read(path), path.name).data
    except CatalogueInvalid:
        return frozenset()
    parts = [data.get(key) for key in ("types", "banners")] if isinstance(data, dict) else []
    return frozenset(str(word) for part in parts if isinstance(part, dict) for word in part)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        what = f"there is no catalogue at {path}"
        fix = "run `dispatcher init DIR` to lay one out, or name its folder with --root"
    except OSError as error:
        what = f"the file cannot be read: {(error.strerror or str(error)).lower()}"
        fix = "see to it that this user may read it"
    raise CatalogueInvalid(Problem(path.name, what, fix))


def _checked(document: Document, templates: Path | None) -> tuple[Catalogue | None, list[Problem]]:
    problems = list(document.problems)
    if not document.complete:
        return None, problems
    if document.data is None:
        problems.append(problem_at(document, (), "the file is empty", "run `dispatcher init DIR` for one"))
        return None, problems
    try:
        catalogue = Catalogue.model_validate(document.data, by_alias=True, by_name=False)
    except ValidationError as error:
        return None, problems + problems_of_error(error, document, _GUIDE)
    incoherent = [_placed(problem, document) for problem in problems_of(catalogue)]
    if templates is not None:
        incoherent += _without_template(catalogue, document, templates)
    return catalogue, problems + incoherent


def _placed(problem: Problem, document: Document) -> Problem:
    """The same problem with its place in the file instead of its dotted path."""
    path = _path(problem.where, document)
    return Problem(document.where(path), problem.what, problem.fix, problem.key)


def _path(text: str, document: Document) -> KeyPath:
    """The deepest path of the document that `text` begins with."""
    return max((path for path in document.values if _leads(dotted(path), text)), key=len, default=())


def _leads(path: str, text: str) -> bool:
    return text == path or not path or text.startswith((f"{path}.", f"{path}["))


def _without_template(catalogue: Catalogue, document: Document, templates: Path) -> Iterator[Problem]:
    for key, spec in catalogue.types.items():
        for ending in ("html", "txt"):
            name = f"{spec.template}.{ending}.j2"
            if not (templates / name).is_file():
                there = {file.name.split(".")[0] for file in templates.glob(f"*.{ending}.j2")}
                close = difflib.get_close_matches(spec.template, there - {spec.template}, 1)
                write = f"did you mean {close[0]}? Write" if close else "write"
                fix = f"{write} {templates.name}/{name}, or name a template that is there"
                path = ("types", key, "template")
                yield problem_at(document, path, f"there is no {templates.name}/{name}", fix)
