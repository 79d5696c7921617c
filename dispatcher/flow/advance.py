"""Which events move plans.

The ledger asks this in the transaction in which it adds the event, with the plans as they are there: so of
two events that come at the same time the second is judged by what the first one made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dispatcher.domain.cadence import Cadence, Step
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.event import Heard, NewEvent
from dispatcher.domain.plan import Advance, Plan, PlanKey
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.aim import About, Aim


class Advancer:
    """Knows which plans an event is about, and what becomes of them."""

    def __init__(self, catalogue: Catalogue, recipients: RecipientStore) -> None:
        """Nothing is read before an event comes; the lists count as they were at their last refresh."""
        self._catalogue = catalogue
        self._recipients = recipients
        self._turns = {type_ for cadence in catalogue.cadences.values() for type_ in _turn_types(cadence)}

    def concerns(self, type_: str, fields: Mapping[str, Any]) -> bool:
        """Whether an event of that type, with these fields, is a turn of some plan's life."""
        return self.step_of(type_, fields) is not None

    def step_of(self, type_: str, fields: Mapping[str, Any]) -> Step | None:
        """The step that an event of that type, with these fields, is of some cadence; None if of none."""
        for cadence in self._catalogue.cadences.values() if type_ in self._turns else ():
            turn = cadence.turn_of(type_) if cadence.follows == "instance" else None
            found = cadence.step_on(turn) if turn and isinstance(fields.get(cadence.about), str) else None
            if found is not None:
                return found[1]
        return None

    def aim(self, new: NewEvent) -> Aim | None:
        """The plans that the event is about; None if it is no turn of any plan's life."""
        abouts = list(self._abouts(new))
        return Aim(self._catalogue, self._recipients, new, abouts) if abouts else None

    def keys(self, new: NewEvent) -> Collection[PlanKey]:
        """As `Aim.keys`."""
        aim = self.aim(new)
        return aim.keys() if aim else ()

    def begins(self, new: NewEvent) -> Collection[PlanKey]:
        """As `Aim.begins`."""
        aim = self.aim(new)
        return aim.begins() if aim else ()

    def advance(
        self,
        new: NewEvent,
        event: str,
        plans: Mapping[PlanKey, Plan],
        now: datetime,
        early: Mapping[PlanKey, Sequence[Heard]],
    ) -> Advance:
        """As `Aim.advance`.

        Raises:
            EventInvalid: A plan may not take that turn, or nothing says what the event leaves out.
        """
        aim = self.aim(new)
        return aim.advance(event, plans, now, early) if aim else Advance()

    def _abouts(self, event: NewEvent) -> Iterator[About]:
        """What the event is to each cadence; a step that a plan sends itself is no turn of its life."""
        type_ = event.effective_type
        if event.step is not None or type_ not in self._turns:
            return
        for key, cadence in self._catalogue.cadences.items():
            turn = cadence.turn_of(type_) if cadence.follows == "instance" else None
            subject = event.fields.get(cadence.about)
            if turn == "scheduled" and event.fields.get(cadence.anchor) is None:
                continue  # without a date there is nothing to plan; it is told as it is
            if turn and isinstance(subject, str):
                yield About(key, cadence, turn, subject)


def _turn_types(cadence: Cadence) -> Iterator[str]:
    if cadence.follows == "instance":
        yield from (step.type for step in cadence.steps.values() if step.on and step.type)
