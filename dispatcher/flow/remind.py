"""Reminds the service's own people of what customers are owed and do not have."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.duty import is_update, next_reminder
from dispatcher.domain.event import Selection
from dispatcher.domain.incident import Incident, Obligation
from dispatcher.domain.instance import Instance
from dispatcher.errors import EventConflict, EventInvalid, ServiceUnreachable
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.present import moment_json
from dispatcher.flow.submit import Submission, Submit
from dispatcher.ledger.ledger import Ledger

#: Under which name we speak to ourselves, and the type of a reminder.
SOURCE: Final = "dispatcher:obligations"
TYPE: Final = "obligation-overdue"

_log = logging.getLogger(__name__)


class Remind:
    """Reminds the service's own people of what is late."""

    def __init__(
        self,
        catalogue: Catalogue,
        recipients: RecipientStore,
        ledger: Ledger,
        submit: Submit,
        clock: Callable[[], datetime],
    ) -> None:
        self._catalogue = catalogue
        self._recipients = recipients
        self._ledger = ledger
        self._submit = submit
        self._clock = clock
        self._refused: set[str] = set()

    async def __call__(self) -> int:
        """Send what reminders are due; how many. Without owners there are none.

        Raises:
            ServiceUnreachable: The ledger does not answer.
        """
        if not self._catalogue.owners or TYPE not in self._catalogue.types:
            return 0
        return sum([await self._remind_or_tell(one) for one in await self._ledger.obligations.overdue()])

    async def _remind_or_tell(self, one: Obligation) -> bool:
        """Remind of one; what goes wrong with it is no matter for those behind it."""
        try:
            return await self._remind(one)
        except ServiceUnreachable:
            raise
        except Exception:  # noqa: BLE001 - one obligation must never stop the others
            _log.exception("nobody can be reminded of obligation %s; it is tried again", one.id)
            return False

    async def _remind(self, one: Obligation) -> bool:
        incident = await self._ledger.incidents.get(one.incident)
        places = [place for name in incident.affected if (place := self._recipients.get(name))]
        due = next_reminder(one, self._catalogue, places)
        if due is None or due > self._clock():
            return False
        try:
            await self._submit([self._reminder(one, incident, places)])
        except EventConflict:
            pass  # it went out, for other instances, before a worker could note it
        except EventInvalid as error:
            if one.id not in self._refused:
                self._refused.add(one.id)
                _log.error("nobody can be reminded of obligation %s: %s", one.id, error)
            return False
        return await self._ledger.obligations.reminded(one)

    def _reminder(self, one: Obligation, incident: Incident, places: Sequence[Instance]) -> Submission:
        number = one.reminders + 1
        fields = {
            "incident": one.incident,
            "duty": "update" if is_update(one, self._catalogue) else "report",
            "owes": one.owes,
            "due_at": moment_json(one.due_at),
            "opened_at": moment_json(incident.opened_at),
            "resolved_at": moment_json(incident.resolved_at),
            "reminder": number,
        }
        known = self._catalogue.types[TYPE].fields
        names = tuple(place.id for place in places)
        return Submission(
            source=SOURCE,
            id=f"{one.id}/{number}",
            type=TYPE,
            selection=Selection("instances", names) if names else Selection("all"),
            thread=None,
            fields={key: value for key, value in fields.items() if key in known and value is not None},
        )
