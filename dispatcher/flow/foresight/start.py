"""What a simulation begins with: the rules in force, and what the ledger has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime

from dispatcher.domain.audience import Recipient
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.incident import Statement
from dispatcher.domain.plan import ENDED, Plan, PlanKey
from dispatcher.domain.planning import digest, place_of, replanned
from dispatcher.errors import EventInvalid
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.check import Check, Submission
from dispatcher.flow.foresight.imagined import Start, Told
from dispatcher.flow.foresight.rules import Rules
from dispatcher.flow.incidents import Accounts
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.plans import PlanFilter

#: Plans that are read at a time.
_PAGE = 1000


def rules_of(catalogue: Catalogue, recipients: RecipientStore) -> Rules:
    """The rules of a root, which need no service."""
    return Rules(catalogue, recipients, Check(catalogue, recipients), Accounts(catalogue, recipients))


async def start_of(ledger: Ledger, rules: Rules, events: Sequence[Submission], now: datetime) -> Start:
    """What the ledger has, as far as it matters for what lies ahead.

    Raises:
        ServiceUnreachable: It does not answer.
    """
    threads = {event.thread for event in events if event.thread}
    told = {thread: await _told(ledger, thread, rules.catalogue) for thread in sorted(threads)}
    shown = {thread: sorted(await ledger.notices.instances_in(thread)) for thread in sorted(threads)}
    incidents = {one.key for one in await ledger.incidents.open()}
    incidents |= {one.incident for one in await ledger.obligations.owed()} | threads
    said: dict[str, Sequence[Statement]] = {}
    for key in sorted(incidents):
        if found := await ledger.incidents.statements(key):
            said[key] = found
    known = set()
    for event in events:
        if await ledger.events.reference(event.source, event.id) is not None:
            known.add((event.source, event.id))
    return Start(
        plans=[_current(plan, rules, now) for plan in await _plans(ledger)],
        said=said,
        told=told,
        shown=shown,
        opted_out=frozenset(await ledger.suppressions.standing()),
        known=frozenset(known),
        heard=await ledger.plans.heard(_begun(rules, events, now)),
    )


def _begun(rules: Rules, events: Sequence[Submission], now: datetime) -> set[PlanKey]:
    """The plans that events may begin."""
    found: set[PlanKey] = set()
    for event in events:
        with suppress(EventInvalid):  # the simulation itself says so
            checked = rules.check(event, event.time or now)
            found.update(rules.check.advancer.begins(checked))
    return found


async def _plans(ledger: Ledger) -> list[Plan]:
    found: list[Plan] = []
    after: str | None = None
    while page := await ledger.plans.list(PlanFilter(), limit=_PAGE, before=after):
        found += page
        after = page[-1].id
        if len(page) < _PAGE:
            break
    return found


def _current(plan: Plan, rules: Rules, now: datetime) -> Plan:
    """The plan, made anew where its cadence has changed since, as the next worker would."""
    cadence = rules.catalogue.cadences.get(plan.key.cadence)
    instance = rules.recipients.get(plan.key.instance)
    if cadence is None or instance is None or plan.state in ENDED or plan.cadence_digest == digest(cadence):
        return plan
    return replanned(plan, cadence, place_of(rules.catalogue, instance), now)


async def _told(ledger: Ledger, thread: str, catalogue: Catalogue) -> list[Told]:
    types = _types(catalogue)
    found: list[Told] = []
    for type_ in types:
        for one in await ledger.deliveries.told(thread, [type_]):
            recipient = Recipient(one.address, one.name, one.language, one.time_zone, one.reasons)
            found += [Told(type_, name, recipient) for name in one.instances]
    return found


def _types(catalogue: Catalogue) -> Iterable[str]:
    """The types that others of their threads go by."""
    return sorted({told for spec in catalogue.types.values() for told in spec.audience.told})
