"""Who would get a mail if an event came now, and why; and why somebody would not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dispatcher.domain.address import folded
from dispatcher.domain.audience import Question, Recipient, explain_absence, resolve
from dispatcher.domain.catalogue import Catalogue, CommunicationType
from dispatcher.domain.fields import parse_fields
from dispatcher.domain.instance import Instance
from dispatcher.domain.moment import day_in
from dispatcher.errors import EventInvalid
from dispatcher.flow.check import record_only
from dispatcher.ledger.suppressions import Suppression

_HOW = {
    "one-click": "the one click of a mail program",
    "page": "the page behind the link in a mail",
    "operator": "`dispatcher suppressions`",
}


class Who:
    """Answers for one type, one instance and one moment.

    Attributes:
        type: The effective type, after ``becomes``.
        opted_out: The opt-outs that stand, by folded address and type, as far as they are known.
    """

    def __init__(
        self, catalogue: Catalogue, key: str, instance: Instance, fields: Mapping[str, Any], now: datetime
    ) -> None:
        """Prepare the question.

        Raises:
            EventInvalid: A field that was given is wrong; missing ones are no matter here.
        """
        spec = catalogue.types[key]
        values, problems = parse_fields(spec, fields, partial=True)
        if problems:
            raise EventInvalid(problems)
        if spec.becomes and values.get(spec.becomes.when):
            key, spec = spec.becomes.type, catalogue.types[spec.becomes.type]
        self.type = key
        self._spec: CommunicationType = spec
        self._instance = instance
        self.opted_out: Mapping[tuple[str, str], Suppression] = {}
        self._values = values
        self._question = Question(key, spec, day_in(instance.time_zone, now), values, tuple(catalogue.owners))

    @property
    def nobody(self) -> str:
        """Why nobody gets it, as far as the fields that were given tell; empty if somebody does.

        A type that is mailed only once a field is given (`mail_when`) is answered for the event that
        has the field, for that is the one that is mailed.
        """
        return record_only(self._spec, self._values) if self._spec.audience.nobody else ""

    @property
    def optional(self) -> bool:
        """Whether a recipient may opt out of the type."""
        return self._spec.optional

    def recipients(self) -> tuple[Recipient, ...]:
        """Who gets it."""
        return tuple(one for one in self.named() if self.opt_out(one.address) is None)

    def opt_out(self, address: str) -> Suppression | None:
        """The opt-out because of which `address` gets nothing of the type."""
        return self.opted_out.get((folded(address), self.type)) if self._spec.optional else None

    def named(self) -> tuple[Recipient, ...]:
        """Who would get it if nobody had opted out."""
        return () if self.nobody else resolve(self._question, self._instance).recipients

    def why_not(self, address: str) -> list[str]:
        """Why `address` does not get it; empty if it does."""
        absent = explain_absence(self._question, self._instance, address)
        opt_out = self.opt_out(address)
        if absent or opt_out is None:
            return absent
        lift = f"`dispatcher suppressions lift {opt_out.address} {opt_out.type}` undoes it"
        return [f"{told(opt_out)}; {lift}"]

    def reasons(self, address: str) -> list[str]:
        """Why `address` gets it; empty if it does not."""
        return [
            f"{reason.role} at {reason.at}"
            for recipient in self.recipients()
            if folded(recipient.address) == folded(address)
            for reason in recipient.reasons
        ]


def told(opt_out: Suppression) -> str:
    """An opt-out in words, without who it is that opted out."""
    lifted = f", lifted on {opt_out.lifted_at:%Y-%m-%d}" if opt_out.lifted_at else ""
    when = f"{opt_out.created_at:%Y-%m-%d}"
    return f"opted out of {opt_out.type} on {when} by {_HOW[opt_out.origin]}{lifted}"
