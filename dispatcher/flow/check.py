"""An event is checked against the catalogue and the recipient lists, before anybody commits it.

Neither ledger nor Redis is asked, so what would happen can be seen without them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from dispatcher.domain.ahead import early_end, short_notice
from dispatcher.domain.cadence import Step
from dispatcher.domain.catalogue import Catalogue, CommunicationType
from dispatcher.domain.event import NewEvent, Selection, StepKey
from dispatcher.domain.fields import known, parse_fields
from dispatcher.domain.plan import Decision
from dispatcher.domain.words import AudienceRole, Channel
from dispatcher.errors import EventInvalid, Problem
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.advance import Advancer
from dispatcher.flow.targets import targets, unknown


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
        channels: Where it is told; None for where its type is.
        roles: Who gets the mail; None for who gets its type's.
        step: The step of a plan that it tells; it is accepted only while that step is due.
        decision: The admin who decided what it says; None where upstream did.
    """

    source: str
    id: str
    type: str
    selection: Selection | None
    thread: str | None
    fields: Mapping[str, Any]
    time: datetime | None = None
    said: Mapping[str, Any] | None = None
    channels: tuple[Channel, ...] | None = None
    roles: tuple[AudienceRole, ...] | None = None
    step: StepKey | None = None
    decision: Decision | None = None

    @property
    def fingerprint(self) -> str:
        """A hash of what the caller said, the same for a repeat and different for anything else."""
        selection = None if self.selection is None else [self.selection.kind, sorted(self.selection.values)]
        said = self.fields if self.said is None else self.said
        payload = orjson.dumps([self.type, selection, self.thread, said], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(payload).hexdigest()


class Check:
    """Checks events.

    Attributes:
        advancer: Knows which plans an event is about.
    """

    def __init__(self, catalogue: Catalogue, recipients: RecipientStore) -> None:
        """The recipient lists count as they were at their last refresh."""
        self._catalogue = catalogue
        self._recipients = recipients
        self.advancer = Advancer(catalogue, recipients)

    def __call__(self, submission: Submission, now: datetime) -> NewEvent:
        """The event as it may be committed.

        Args:
            submission: What is asked for.
            now: When it comes.

        Raises:
            EventInvalid: With every problem.
        """
        problems = [*_identity(submission)]
        spec = self._catalogue.types.get(submission.type)
        if spec is None:
            raise EventInvalid([*problems, unknown("type", submission.type, self._catalogue.types)])
        effective_key, effective = self._effective(submission, spec)
        values, wrong = parse_fields(spec, submission.fields)
        if step := self.advancer.step_of(effective_key, submission.fields):
            # The plan may say it; whether it does is seen where the event is committed.
            wrong = [one for one in wrong if not _left_to_plan(spec, submission.fields, one)]
            wrong += _taken_back(effective, step, values)
        channels, roles = _addressed(submission, step)
        if effective is not spec:
            wrong = _merged(wrong, parse_fields(effective, known(effective, submission.fields))[1])
        selection, astray = targets(self._recipients, submission.selection, submission.thread, effective)
        short = "" if submission.step else short_notice(effective, values, now)
        if short and effective.minimum_notice and effective.minimum_notice.otherwise == "refuse":
            key = effective.minimum_notice.field
            astray = [*astray, Problem(f"fields.{key}", short, "announce a later date", key)]
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
            fields=_trimmed(submission.fields),
            fingerprint=submission.fingerprint,
            time=submission.time,
            record_only=record_only(effective, values, channels),
            channels=channels,
            roles=roles,
            step=submission.step,
            decision=submission.decision,
            warnings=tuple(
                f"{effective_key} {one}" for one in (short, early_end(effective, values, now)) if one
            ),
        )

    def _effective(self, submission: Submission, spec: CommunicationType) -> tuple[str, CommunicationType]:
        if spec.becomes and submission.fields.get(spec.becomes.when) is True:
            return spec.becomes.type, self._catalogue.types[spec.becomes.type]
        return submission.type, spec


def record_only(
    spec: CommunicationType, fields: Mapping[str, Any], channels: Sequence[Channel] | None = None
) -> str:
    """Why the event is only recorded and nobody is mailed; empty if mail goes out.

    Args:
        spec: Its type.
        fields: Its typed values.
        channels: Where it is told; None for where its type is.
    """
    if spec.audience.nobody:
        return spec.audience.nobody
    if spec.mail_when and fields.get(spec.mail_when.field) is None:
        return spec.mail_when.otherwise
    return "" if channels is None or "mail" in channels else "this step is not mailed"


def _addressed(
    submission: Submission, step: Step | None
) -> tuple[tuple[Channel, ...] | None, tuple[AudienceRole, ...] | None]:
    """Where it is told and who gets the mail, as far as a cadence says other than the type."""
    if step is None or submission.step is not None:
        return submission.channels, submission.roles
    return (
        None if step.channels is None else tuple(step.channels),
        None if step.roles is None else tuple(step.roles),
    )


def _trimmed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are read: a blank after its name would make another update of the same one."""
    return {key: value.strip() if isinstance(value, str) else value for key, value in fields.items()}


def _left_to_plan(spec: CommunicationType, given: Mapping[str, Any], problem: Problem) -> bool:
    field = spec.fields.get(problem.key)
    return field is not None and field.from_plan and given.get(problem.key) is None


def _taken_back(spec: CommunicationType, step: Step, values: Mapping[str, Any]) -> list[Problem]:
    """An end that says to calendars that nothing ends: the plan would be over and the entry would stay."""
    key = spec.calendar.cancelled if spec.calendar else None
    if step.on != "cancelled" or key is None or values.get(key) is not False:
        return []
    what = "is false, and the event says that it will not take place"
    return [Problem(f"fields.{key}", what, "leave it out", key)]


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
