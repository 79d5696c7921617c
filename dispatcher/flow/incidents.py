"""What an accepted event says of an incident, kept in the transaction that accepts it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.catalogue import Catalogue, CommunicationType
from dispatcher.domain.duty import duties, owed_types
from dispatcher.domain.event import NewEvent, Selection
from dispatcher.domain.fields import known, parse_fields
from dispatcher.domain.incident import Account, Says, Statement, account
from dispatcher.domain.language import DEFAULT
from dispatcher.domain.words import TypeKey
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.ledger.columns import storable
from dispatcher.ledger.incidents import Incidents

if TYPE_CHECKING:
    from dispatcher.ledger.intake import Intake

#: The fields by which events speak of incidents.
NAME, STATUS, RESOLVED_AT, RESTORED_AT, NEXT_UPDATE_AT = (
    "incident",
    "status",
    "resolved_at",
    "restored_at",
    "next_update_at",
)
#: The status that says that it is over.
OVER = "resolved"


class Accounts:
    """Reads what events say of incidents, and adds it up; nothing is kept."""

    def __init__(self, catalogue: Catalogue, recipients: RecipientStore) -> None:
        """The recipient lists count as they were at their last refresh."""
        self._catalogue = catalogue
        self._recipients = recipients
        self._owed = owed_types(catalogue)

    def account(self, statements: Sequence[Statement]) -> Account:
        """What was said of one incident comes to this."""
        opened = next((one.type for one in statements if one.says is Says.OPEN), "")
        return account(statements, duties(self._catalogue, opened, self._recipients.get) if opened else ())

    def statement(self, event: NewEvent, id_: str, at: datetime) -> Statement | None:
        """What an event says of an incident; None if it speaks of none.

        Args:
            event: The event.
            id_: Its id in the ledger.
            at: When it was accepted. One that says that it is of later was sent by a clock that is ahead.
        """
        spec = self._catalogue.types.get(event.effective_type)
        key = key_of(event)
        if spec is None or not key or (says := self._says(event, spec)) is None:
            return None
        values = parse_fields(spec, known(spec, event.fields), partial=True)[0]
        return Statement(
            incident=key,
            event=id_,
            type=event.effective_type,
            says=says,
            said_at=min(event.time or at, at).astimezone(UTC),
            resolved_at=_moment(values, RESTORED_AT) or _moment(values, RESOLVED_AT),
            next_update_at=_moment(values, NEXT_UPDATE_AT),
            instances=tuple(self._instances(event.selection)),
        )

    def _says(self, event: NewEvent, spec: CommunicationType) -> Says | None:
        if spec.opens_incident:
            over = event.fields.get(STATUS) == OVER or event.fields.get(RESOLVED_AT) is not None
            return Says.RESOLVED if over else Says.OPEN
        if any(self._catalogue.types[told].opens_incident for told in spec.audience.told):
            if RESTORED_AT in spec.fields:
                return Says.RESOLVED
            return Says.TOLD if event.effective_type in self._owed else None
        return None

    def _instances(self, selection: Selection) -> Collection[str]:
        """The instances of a selection at this moment; none for those of the thread."""
        if selection.kind == "instances":
            return dict.fromkeys(selection.values)
        if selection.kind == "region":
            return self._recipients.ids_of(selection)
        return sorted(self._recipients.ids()) if selection.kind == "all" else ()


class Books(Accounts):
    """Keeps the books of incidents; see `dispatcher.ledger.intake.Observer`."""

    def __init__(self, catalogue: Catalogue, recipients: RecipientStore, incidents: Incidents) -> None:
        super().__init__(catalogue, recipients)
        self._incidents = incidents

    async def __call__(self, transaction: AsyncConnection, taken: Sequence[Intake]) -> None:
        """Enter what the events say, in their own transaction."""
        said = [statement for one in taken if (statement := self.statement(one.event, one.id, one.at))]
        if said:
            await self._incidents.enter(transaction, said, self.account)

    async def withdrawn(self) -> Sequence[str]:
        """Let cancelled events say nothing any more; the keys of the incidents that they spoke of.

        Raises:
            ServiceUnreachable: The ledger cannot be had.
        """
        return await self._incidents.withdrawn(self.account)


def key_of(event: NewEvent) -> str:
    """The key of the incident that an event may speak of: its thread, else what it calls the incident."""
    if event.thread:
        return event.thread
    name = event.fields.get(NAME)
    if isinstance(name, dict):  # said per language
        name = name.get(DEFAULT) or next(iter(name.values()), "")
    return storable(name) if isinstance(name, str) else ""


def waiting_types(catalogue: Catalogue) -> frozenset[TypeKey]:
    """The types whose mail is held for an instance while a major incident affects it."""
    return frozenset(
        key
        for key, spec in catalogue.types.items()
        if (spec.optional if spec.waits_for_incident is None else spec.waits_for_incident)
    )


def _moment(values: dict[str, Any], key: str) -> datetime | None:
    value = values.get(key)
    return value.astimezone(UTC) if isinstance(value, datetime) else None
