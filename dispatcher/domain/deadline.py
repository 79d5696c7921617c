"""A deadline that is reckoned from what an event says: how soon somebody is to answer (policy, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from dispatcher.domain.cadence import SpanText
from dispatcher.domain.model import Model
from dispatcher.domain.moment import parse_duration
from dispatcher.domain.words import FieldKey, Line

#: ``always`` counts every hour, ``business`` working hours, ``chosen`` one or the other, as a field says.
Clock = Literal["always", "business", "chosen"]


class Deadline(Model):
    """Until when something is promised.

    Attributes:
        field: The field of kind ``datetime`` that is filled in where the event does not give it.
        since: The field of kind ``datetime`` from which the time counts.
        severity: The field of kind ``choice`` that picks the row of `within` and the clock.
        plan: The field of kind ``choice`` that picks the column.
        within: Spans by severity and plan.
        clock: Which hours count, by severity.
        around_the_clock: For the clock ``chosen``: the field of kind ``boolean`` that says ``always``.
    """

    field: FieldKey
    since: FieldKey
    severity: FieldKey
    plan: FieldKey
    within: dict[Line, dict[Line, SpanText]]
    clock: dict[Line, Clock]
    around_the_clock: FieldKey | None = None

    def span(self, values: Mapping[str, Any]) -> timedelta | None:
        """How long it may take; None where the event does not tell enough."""
        row = self.within.get(str(values.get(self.severity)), {})
        text = row.get(str(values.get(self.plan)))
        return None if text is None else parse_duration(text)

    def hours(self, values: Mapping[str, Any]) -> int | None:
        """`span` in whole hours."""
        span = self.span(values)
        return None if span is None else int(span / timedelta(hours=1))

    def counts_always(self, values: Mapping[str, Any]) -> bool:
        """Whether every hour counts, or working hours alone."""
        clock = self.clock.get(str(values.get(self.severity)), "business")
        chosen = self.around_the_clock is not None and values.get(self.around_the_clock) is True
        return clock == "always" or (clock == "chosen" and chosen)
