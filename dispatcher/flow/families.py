"""Production instances and their sandboxes, and the order in which they are updated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dispatcher.domain.instance import Instance
from dispatcher.domain.order import production_warnings, sandbox_warnings
from dispatcher.domain.plan import Plan
from dispatcher.files.recipient_store import RecipientStore


class Families:
    """What belongs together, as one event finds it; each instance is looked up once, without its people."""

    def __init__(self, recipients: RecipientStore) -> None:
        self._recipients = recipients
        self._outlines: dict[str, Instance | None] = {}

    def outline(self, name: str) -> Instance | None:
        """The instance with this id, without its people; None if there is none in force."""
        if name not in self._outlines:
            self._outlines[name] = self._recipients.outline(name)
        return self._outlines[name]

    def of(self, instance: Instance) -> Sequence[str]:
        """A production instance and its sandboxes, whichever of them is asked for."""
        head = instance.sandbox_of or instance.id
        found = [instance.id, head, *self._recipients.sandboxes_of(head)]
        if head != instance.id:
            found += self._recipients.sandboxes_of(instance.id)
        return list(dict.fromkeys(found))

    def order(self, instance: Instance, plan: Plan, plans: Mapping[str, Plan | None]) -> Iterator[str]:
        """What a plan is warned of.

        Args:
            instance: The plan's.
            plan: The plan.
            plans: The plans of the same subject in its family, by instance.
        """
        production = plans.get(instance.sandbox_of) if instance.sandbox_of else None
        if production is not None:
            yield from sandbox_warnings(plan, production)
        names = self._recipients.sandboxes_of(instance.id)
        yield from production_warnings(plan, {name: plans.get(name) for name in names})
