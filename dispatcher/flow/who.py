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
from dispatcher.flow.submit import record_only


class Who:
    """Answers for one type, one instance and one moment."""

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
        self._spec: CommunicationType = spec
        self._instance = instance
        self._values = values
        self._question = Question(key, spec, day_in(instance.time_zone, now), values)

    @property
    def nobody(self) -> str:
        """Why nobody gets it, as far as the fields that were given tell; empty if somebody does.

        A type that is mailed only once a field is given (`mail_when`) is answered for the event that
        has the field, for that is the one that is mailed.
        """
        return record_only(self._spec, self._values) if self._spec.audience.nobody else ""

    def recipients(self) -> tuple[Recipient, ...]:
        """Who gets it."""
        return () if self.nobody else resolve(self._question, self._instance).recipients

    def why_not(self, address: str) -> list[str]:
        """Why `address` does not get it; empty if it does."""
        return explain_absence(self._question, self._instance, address)

    def reasons(self, address: str) -> list[str]:
        """Why `address` gets it; empty if it does not."""
        return [
            f"{reason.role} at {reason.at}"
            for recipient in self.recipients()
            if folded(recipient.address) == folded(address)
            for reason in recipient.reasons
        ]
