"""What about a root should be better that no single mail shows; for `check`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.duty import owed_types
from dispatcher.domain.language import LANGUAGES
from dispatcher.domain.turning import OFFERED
from dispatcher.errors import Problem, TemplateInvalid
from dispatcher.flow.places import Places
from dispatcher.mail import pofile
from dispatcher.mail.extract import Message
from dispatcher.mail.lint import HTTPS
from dispatcher.mail.pofile import PoFile
from dispatcher.mail.wanting import mistakes

_PLAIN_HTTP = re.compile(r"http://[^\s\"'<>)]+", re.IGNORECASE)
#: A namespace's name looks like a link and leads nowhere.
_NAMESPACE = re.compile(r"http://(?:www\.w3\.org|schemas\.microsoft\.com)/")
#: Texts that are quoted of those that nobody translated.
_QUOTED = 3


def plain_links(places: Places) -> Iterator[Problem]:
    """Links that are not https, in templates and in the catalogue."""
    for name in places.templates():
        for found in _PLAIN_HTTP.finditer(places.source(name)):
            if not _NAMESPACE.match(found[0]):
                what = f"the link {found[0][:80]} is not https"
                yield Problem(places.line(name, found.start()), what, HTTPS)
    for where, value in places.texts():
        if link := _PLAIN_HTTP.search(value):
            yield Problem(where, f"the link {link[0][:80]} is not https", HTTPS)


def mistranslated(texts: Sequence[Message], folder: Path) -> Iterator[Problem]:
    """Everything that is wrong with the translations of a root's own folder ``locales``."""
    for language in LANGUAGES[1:]:
        yield from mistakes(language, texts, _read(pofile.file_of(folder, language)))


def untranslated(texts: Sequence[Message], folders: Sequence[Path]) -> Iterator[Problem]:
    """One warning for each language that lacks some of `texts`.

    Args:
        texts: Every text, as `dispatcher.mail.extract.messages` finds them.
        folders: The folders ``locales`` that count, the root's own first.
    """
    for language in LANGUAGES[1:]:
        files = [pofile.file_of(folder, language) for folder in folders]
        known = {key for file in files for key, entry in _read(file).entries.items() if entry.translated}
        lacking = [one.text for one in texts if language in one.languages and one.key not in known]
        if lacking:
            shown = ", ".join(
                repr(text if len(text) <= 60 else f"{text[:59]}…") for text in lacking[:_QUOTED]
            )
            more = f" and {len(lacking) - _QUOTED} more" if len(lacking) > _QUOTED else ""
            texts_are = "text is" if len(lacking) == 1 else "texts are"
            what = f"{len(lacking)} {texts_are} not translated, so readers get English: {shown}{more}"
            fix = "run `dispatcher locales`, then translate what it adds"
            yield Problem(pofile.called(files[0]), what, fix)


def _read(file: Path) -> PoFile:
    """What a file says; nothing if it cannot be read, which `Translations.problems` tells."""
    with suppress(TemplateInvalid, OSError):
        return pofile.read(file)
    return PoFile(pofile.called(file))


def without_opt_out(catalogue: Catalogue, public_url: str | None) -> Iterator[Problem]:
    """That optional mails cannot be stopped by those who get them."""
    optional = [key for key, spec in catalogue.types.items() if spec.optional and not spec.audience.nobody]
    if optional and not public_url:
        yield Problem(
            "DISPATCHER_PUBLIC_URL",
            f"is not set, so nobody can opt out of {', '.join(optional)} by a link in the mail",
            "set it to the https address under which readers reach `dispatcher serve`",
        )


def without_decisions(catalogue: Catalogue, public_url: str | None) -> Iterator[Problem]:
    """That admins get no link by which to decide."""
    decided = [key for key, cadence in catalogue.cadences.items() if cadence.decisions]
    if decided and not public_url:
        yield Problem(
            "DISPATCHER_PUBLIC_URL",
            f"is not set, so no admin can decide about {', '.join(decided)} by a link in the mail",
            "set it to the https address under which readers reach `dispatcher serve`",
        )


def unplanned(catalogue: Catalogue) -> Iterator[Problem]:
    """That what is told of a date comes to no plan, as in a catalogue of before there were cadences."""
    told = {step.type for cadence in catalogue.cadences.values() for step in cadence.steps.values()}
    dated = [key for key, spec in catalogue.types.items() if OFFERED in spec.fields and key not in told]
    if dated:
        yield Problem(
            "catalogue.yaml: cadences",
            f"has no step of {', '.join(dated)}, so its dates make no plan and nobody is reminded of them",
            "take the cadences over from what a new `dispatcher init` lays out, or write your own",
        )


def nobody_to_remind(catalogue: Catalogue) -> Iterator[Problem]:
    """That nobody would hear of an update or a report that customers wait for."""
    if catalogue.owners or not (owed := owed_types(catalogue)):
        return
    what = f"is missing, so nobody is reminded when {' or '.join(sorted(owed))} is overdue"
    yield Problem("catalogue.yaml: owners", what, "name people, like [{address: operations@example.com}]")
