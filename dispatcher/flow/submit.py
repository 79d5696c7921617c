"""An event arrives: it is checked against the catalogue, committed, and a worker is woken.

The commit comes first and the bell after it, so an answer never waits for Redis and never promises what a
crash could take back.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from dispatcher.domain.catalogue import Catalogue, CommunicationType
from dispatcher.domain.delivery import Lane
from dispatcher.domain.event import NewEvent, Selection
from dispatcher.domain.fields import known, parse_fields
from dispatcher.errors import EventInvalid, Problem
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.ledger.events import Added
from dispatcher.ledger.ledger import Ledger
from dispatcher.queue.bell import Bell
from dispatcher.queue.lanes import EVERY

#: So many events get a ring each; more are expanded one after the other by one job a lane.
FEW = 4
#: Unknown instances of one event that get a suggestion each, and names listed in one message.
SUGGESTED, NAMED = 3, 30


@dataclass(frozen=True, slots=True)
class Submission:
    """What an upstream system asks for.

    Attributes:
        source: Who says so; with `id` it makes a repeat harmless.
        id: Unique within `source`.
        type: A communication type of the catalogue.
        selection: Which instances it is about; None only where the thread can tell.
        thread: Joins the events of one incident.
        fields: Plain JSON values by field.
        said: What the caller literally said, where that differs from `fields`: a sample's dates move with
            the clock, yet sending the same sample again under the same id is a repeat.
    """

    source: str
    id: str
    type: str
    selection: Selection | None
    thread: str | None
    fields: Mapping[str, Any]
    time: datetime | None = None
    said: Mapping[str, Any] | None = None

    @property
    def fingerprint(self) -> str:
        """A hash of what the caller said, the same for a repeat and different for anything else."""
        selection = None if self.selection is None else [self.selection.kind, sorted(self.selection.values)]
        said = self.fields if self.said is None else self.said
        payload = orjson.dumps([self.type, selection, self.thread, said], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(payload).hexdigest()


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to a submission.

    Attributes:
        event: Our id of the event.
        duplicate: True if the same event had been accepted before; nothing new was made of it.
        woken: False if no worker could be woken; the event is safe and waits for the sweep.
    """

    event: str
    duplicate: bool
    woken: bool


class Submit:
    """Accepts events."""

    def __init__(self, catalogue: Catalogue, recipients: RecipientStore, ledger: Ledger, bell: Bell) -> None:
        self._catalogue = catalogue
        self._recipients = recipients
        self._ledger = ledger
        self._bell = bell

    async def __call__(self, submissions: Sequence[Submission]) -> list[Accepted]:
        """Accept all of them, or none.

        Raises:
            EventInvalid: With every problem of every submission; those of a batch say which one.
            EventConflict: A source and id were used before for something else.
            ServiceUnreachable: The ledger cannot commit.
        """
        self._recipients.refresh()
        events: list[NewEvent] = []
        problems: list[Problem] = []
        for number, submission in enumerate(submissions):
            try:
                events.append(await self._checked(submission))
            except EventInvalid as error:
                prefix = f"events[{number}]." if len(submissions) > 1 else ""
                problems += [
                    Problem(f"{prefix}{problem.where}", problem.what, problem.fix, problem.key)
                    for problem in error.problems
                ]
        if problems:
            raise EventInvalid(problems)
        added = await self._ledger.events.add(events)
        woken = await self._wake(
            {one.id: event.lane for one, event in zip(added, events, strict=True) if _waits(one, event)}
        )
        return [Accepted(one.id, one.duplicate, woken) for one in added]

    async def _checked(self, submission: Submission) -> NewEvent:
        """The event, if it is right or if it is the repeat of one that was right when it came."""
        try:
            return self.check(submission)
        except EventInvalid:
            first = await self._ledger.events.reference(submission.source, submission.id)
            if first is None:
                raise
            return NewEvent(
                source=submission.source,
                external_id=submission.id,
                type=first.type,
                effective_type=first.effective_type,
                lane=first.lane,
                selection=first.selection,
                thread=first.thread,
                fields=first.fields,
                fingerprint=submission.fingerprint,
            )

    def check(self, submission: Submission) -> NewEvent:
        """The event as it may be committed.

        Raises:
            EventInvalid: With every problem.
        """
        problems = [*_identity(submission)]
        spec = self._catalogue.types.get(submission.type)
        if spec is None:
            raise EventInvalid([*problems, _unknown("type", submission.type, self._catalogue.types)])
        effective_key, effective = self._effective(submission, spec)
        values, wrong = parse_fields(spec, submission.fields)
        if effective is not spec:
            wrong = _merged(wrong, parse_fields(effective, known(effective, submission.fields))[1])
        selection, astray = self._selection(submission, effective)
        if problems := [*problems, *wrong, *astray]:
            raise EventInvalid(problems)
        return NewEvent(
            source=submission.source,
            external_id=submission.id,
            type=submission.type,
            effective_type=effective_key,
            lane=effective.lane,
            selection=selection,
            thread=submission.thread,
            fields=dict(submission.fields),
            fingerprint=submission.fingerprint,
            time=submission.time,
            record_only=record_only(effective, values),
        )

    def _effective(self, submission: Submission, spec: CommunicationType) -> tuple[str, CommunicationType]:
        if spec.becomes and submission.fields.get(spec.becomes.when) is True:
            return spec.becomes.type, self._catalogue.types[spec.becomes.type]
        return submission.type, spec

    def _selection(self, submission: Submission, spec: CommunicationType) -> tuple[Selection, list[Problem]]:
        selection = submission.selection
        if selection is None:
            if spec.audience.told and submission.thread:
                return Selection("thread"), []
            fix = 'give a list of ids like ["contoso-prod"], {"region": "emea"} or "all"'
            return Selection("instances"), [Problem("instances", "is missing", fix, "instances")]
        if selection.kind == "instances" and not selection.values:
            return selection, [Problem("instances", "names none", "name at least one instance", "instances")]
        if selection.kind == "instances":
            return selection, [
                *_strangers(selection.values, self._recipients.ids()),
                *(self._set_aside() if not set(selection.values) <= self._recipients.ids() else ()),
            ]
        if selection.kind == "region" and not self._recipients.by_region(selection.values[0]):
            return selection, [
                Problem(
                    "region", f"no instance is in region {selection.values[0]!r}", "see recipients/", "region"
                )
            ]
        if not self._recipients.ids():
            fix = "add a file under recipients/"
            return selection, [Problem("instances", "there are no instances at all", fix, "instances")]
        return selection, []

    def _set_aside(self) -> list[Problem]:
        """Files that may hold the instance that was asked for."""
        return [
            Problem("instances", f"{broken.file} is set aside: {broken.problems[0]}", "mend it", "instances")
            for broken in self._recipients.lost()[:SUGGESTED]
        ]

    async def _wake(self, waiting: Mapping[str, Lane]) -> bool:
        """Ring for the new events: for a few one by one, for many once a lane."""
        if len(waiting) > FEW:
            rings = [(EVERY, lane) for lane in dict.fromkeys(waiting.values())]
        else:
            rings = list(waiting.items())
        return all([await self._bell.ring_expand(event, lane) for event, lane in rings])


def _waits(added: Added, event: NewEvent) -> bool:
    return not added.duplicate and not event.record_only


def record_only(spec: CommunicationType, fields: Mapping[str, Any]) -> str:
    """Why the event is only recorded and nobody is mailed; empty if mail goes out."""
    if spec.audience.nobody:
        return spec.audience.nobody
    if spec.mail_when and fields.get(spec.mail_when.field) is None:
        return spec.mail_when.otherwise
    return ""


def _merged(first: Sequence[Problem], second: Sequence[Problem]) -> list[Problem]:
    """Both lists, a field's problem once."""
    return [*first, *(problem for problem in second if problem.key not in {one.key for one in first})]


def _identity(submission: Submission) -> list[Problem]:
    problems = []
    for key, text in (("source", submission.source), ("id", submission.id), ("thread", submission.thread)):
        if text is None:
            continue
        if not 0 < len(text) <= 200 or not text.isprintable():
            fix = "give 1 to 200 printable characters"
            problems.append(Problem(key, "is empty, too long or not printable", fix, key))
    return problems


def _strangers(names: Sequence[str], there: AbstractSet[str]) -> list[Problem]:
    """The instances that there are not; to look for near misses takes long, so only the first get theirs."""
    missing = [name for name in dict.fromkeys(names) if name not in there]
    problems = [_unknown("instances", name, there) for name in missing[:SUGGESTED]]
    if rest := missing[SUGGESTED:]:
        more = ", ".join(repr(name[:80]) for name in rest[:NAMED])
        what = f"{len(rest)} more are not there: {more}{'…' if len(rest) > NAMED else ''}"
        problems.append(Problem("instances", what, "correct them all", "instances"))
    return problems


def _unknown(where: str, word: str, there: Mapping[str, Any] | AbstractSet[str]) -> Problem:
    close = difflib.get_close_matches(word, list(there), n=3)
    names = f"use one of {', '.join(sorted(there)[:NAMED])}{'…' if len(there) > NAMED else ''}"
    fix = f"did you mean {' or '.join(close)}" if close else names
    return Problem(where, f"{word[:80]!r} is not known", fix, where)
