"""The whole story of an event, an address or a message, told from the ledger in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dispatcher.domain.delivery import FINAL, Delivery, Status
from dispatcher.domain.event import Event
from dispatcher.errors import NotFound
from dispatcher.ledger.deliveries import Filter
from dispatcher.ledger.ledger import Ledger

#: Deliveries told one by one; more are counted.
SHOWN = 50
_DOUBT = "nobody knows whether it arrived"
#: Reasons of deliveries that wait, which no attempt tells.
_WAITS = {
    "relay_unreachable": "the SMTP server takes nothing at present",
    "domain_limit": "its domain is at its limit (DISPATCHER_SMTP_DOMAINS)",
    "released": "a person let it go after it was held",
    "replayed": "a person had it tried again after it had failed",
    "incident_over": "it was held for an incident, which is over",
}


@dataclass(frozen=True, slots=True)
class Story:
    """An event and those of its deliveries that were asked for.

    Attributes:
        left_out: How many more of them there are.
    """

    event: Event
    deliveries: Sequence[Delivery]
    left_out: int = 0


async def explain(ledger: Ledger, what: str) -> list[Story]:
    """The stories of an event's id, a Message-ID or an address; the newest first.

    Raises:
        NotFound: The ledger knows nothing of that name.
    """
    if "@" in what and (stories := await _mail(ledger, what)):
        return stories
    try:
        event = await ledger.events.find(what)
    except NotFound:
        if "@" not in what:
            raise
        hint = f"`dispatcher who TYPE --instance ID --not {what}` says why the lists leave an address out."
        text = f"The ledger has no mail to {what}, and none with that Message-ID. {hint}"
        raise NotFound(text) from None
    deliveries = await ledger.deliveries.list(Filter(event=event.id), limit=SHOWN, with_attempts=True)
    # While the event is being expanded, there may be more by now than were counted.
    return [Story(event, deliveries, max(0, sum(event.counts.values()) - len(deliveries)))]


async def _mail(ledger: Ledger, what: str) -> list[Story]:
    by_id = Filter(message_id=f"<{what.strip('<>')}>")
    found = await ledger.deliveries.list(by_id, limit=1, with_attempts=True)
    if not found:
        found = await ledger.deliveries.list(Filter(address=what), limit=SHOWN + 1, with_attempts=True)
    shown = found[:SHOWN]
    stories = []
    for name in dict.fromkeys(delivery.event for delivery in shown):
        own = [delivery for delivery in shown if delivery.event == name]
        stories.append(Story(await ledger.events.get(name), own))
    if len(found) > SHOWN:
        stories[-1] = replace(stories[-1], left_out=len(found) - SHOWN)
    return stories


def tell(story: Story) -> Iterator[str]:
    """The story in words, a line each."""
    yield from _event(story.event)
    for delivery in story.deliveries:
        yield from _delivery(delivery)
    if story.left_out:
        yield "  and more; `dispatcher deliveries` lists all."


def _event(event: Event) -> Iterator[str]:
    became = "" if event.type == event.effective_type else f", treated as {event.effective_type}"
    yield f"Event {event.id}: {event.type}{became}"
    yield f"  came in {_at(event.accepted_at)} from {event.source} as {event.external_id}"
    about = {"instances": ", ".join(event.selection.values), "all": "all instances"}
    thread = f"; thread {event.thread}" if event.thread else ""
    where = {"region": f"region {''.join(event.selection.values)}", "thread": "the thread's instances"}
    yield f"  about {(about | where)[event.selection.kind]}; {event.lane} lane{thread}"
    counts = ", ".join(f"{number:,} {status}" for status, number in sorted(event.counts.items()))
    why = f": {event.reason}" if event.reason else ""
    yield f"  is {event.status}{why}{f' ({counts})' if counts else ''}"
    if event.cancelled_at:
        yield f"  was cancelled at {_at(event.cancelled_at)}"
    for warning in event.warnings:
        yield f"  warning: {warning}"


def _delivery(delivery: Delivery) -> Iterator[str]:
    yield f"  To {delivery.address} about {', '.join(delivery.instances)}: {delivery.status}"
    yield f"    because {', '.join(f'{reason.role} ({reason.at})' for reason in delivery.reasons)}"
    yield f"    “{delivery.subject}”, {delivery.language}, {delivery.time_zone}, template {delivery.template}"
    yield f"    Message-ID {delivery.message_id}"
    for attempt in delivery.attempts:
        reply = f"{attempt.code or ''} {attempt.reply}".strip()
        yield f"    {_at(attempt.at)} {attempt.status} ({attempt.reason}) {reply}"
    yield from _standing(delivery)
    if delivery.next_try_at and delivery.status is not Status.SENT:
        yield f"    next try {_at(delivery.next_try_at)}"
    if delivery.expires_at:
        yield from _expiry(delivery.status, delivery.expires_at)


def _standing(delivery: Delivery) -> Iterator[str]:
    """Why it waits where no attempt says so, and what lets go of it where it does not wait."""
    tried = bool(delivery.attempts) and delivery.attempts[-1].reason == delivery.reason
    if delivery.next_try_at and delivery.reason in _WAITS and not tried:
        yield f"    waits: {_WAITS[delivery.reason]}"
    elif delivery.status is Status.HELD and delivery.reason == "incident":
        places = ", ".join(delivery.instances)
        yield f"    held: a major incident affects {places}; it goes out once that is over"
    elif delivery.status is Status.HELD:
        held = "three workers in a row ended while sending it" if delivery.reason == "poison" else _DOUBT
        yield f"    held: {held}; `dispatcher release {delivery.id}` sends it again"
    elif delivery.status is Status.SUPPRESSED:
        when = f"`dispatcher suppressions --address {delivery.address}` says when"
        yield f"    suppressed: its reader had opted out of {delivery.type}; {when}"
    elif delivery.status is Status.FAILED:
        yield f"    `dispatcher replay --delivery {delivery.id}` has it tried again"


def _expiry(status: Status, at: datetime) -> Iterator[str]:
    if status is Status.EXPIRED:
        yield f"    what it announces was over at {_at(at)}; nothing more is sent"
    elif status not in FINAL:
        yield f"    expires at {_at(at)}"


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
