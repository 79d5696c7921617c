"""The count: what the SMTP server kept against what the ledger says. Pure.

What was accepted is known from the answers that the posting clients got, not from the ledger; whom an event
is for is known from the recipient lists that the storm wrote, not from what the program made of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

#: States in which nothing more happens by itself and a reason says why no mail went out.
FINAL_WITH_REASON = frozenset({"failed", "held", "expired", "cancelled", "suppressed"})
#: Attempts after which nobody can know whether the message arrived.
DOUBTS = frozenset({"lost_after_data", "lease_expired"})


@dataclass(frozen=True, slots=True)
class Kept:
    """A message that the SMTP server made its own."""

    recipient: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery as the ledger ends up with it.

    Attributes:
        event: The event's source and id, as upstream gave them.
        attempts: The reason of each attempt, oldest first.
        workers: From whom it was taken over because a lease ran out.
        released: Whether a person had it tried again.
    """

    id: str
    event: tuple[str, str]
    address: str
    status: str
    reason: str
    message_id: str
    uncertain: bool
    on_uncertain: str = "resend"
    attempts: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    released: bool = False

    def __str__(self) -> str:
        tries = ", ".join(self.attempts)
        doubt = ", uncertain" if self.uncertain else ""
        where = f"{self.status} ({self.reason}){doubt}"
        return f"{self.id} {self.address} {where} {self.message_id} attempts: {tries}"


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that was broken, with the row or message that shows it."""

    promise: str
    evidence: str


@dataclass(slots=True)
class Verdict:
    """What the comparison found.

    Attributes:
        missing: Recipients of accepted events who were sent nothing, without a reason in the ledger.
        hollow: Those of them whose row is `sent`.
        duplicates: Messages kept more than once, by the recipient: how many copies too many.
        unflagged: Those of them whose row does not say so.
        doubts: For rows that were sent twice, the reasons of the attempts that made it possible.
        robbed: For each worker from which they were taken over, how many such rows.
    """

    events: int = 0
    deliveries: int = 0
    kept: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    hollow: int = 0
    duplicates: int = 0
    unflagged: int = 0
    doubts: Counter[str] = field(default_factory=Counter)
    robbed: Counter[str] = field(default_factory=Counter)
    broken: list[Broken] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether every promise was kept."""
        return not self.broken


def judge(
    accepted: Mapping[tuple[str, str], frozenset[str]], rows: Sequence[Row], kept: Iterable[Kept]
) -> Verdict:
    """Compare.

    Args:
        accepted: For each event that was answered 202, whom it is for.
        rows: Every delivery in the ledger.
        kept: Every message that the SMTP server kept, in any order.
    """
    copies: dict[str, list[str]] = defaultdict(list)
    for message in kept:
        copies[message.recipient].append(message.message_id)
    verdict = Verdict(
        events=len(accepted),
        deliveries=len(rows),
        kept=sum(map(len, copies.values())),
        statuses=Counter(row.status for row in rows),
    )
    by_event: dict[tuple[str, str], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_event[row.event][row.address].append(row)
    for event, recipients in accepted.items():
        for recipient in sorted(recipients):
            _judge_one(verdict, event, recipient, by_event[event][recipient], copies[recipient])
    known = {address for recipients in accepted.values() for address in recipients}
    for row in rows:
        if row.event not in accepted or row.address not in accepted[row.event]:
            verdict.broken.append(Broken("a delivery of an accepted event to somebody it is for", str(row)))
    for stranger in sorted(set(copies) - known):
        verdict.broken.append(Broken("a mail to a recipient of an accepted event", stranger))
    return verdict


def _judge_one(
    verdict: Verdict, event: tuple[str, str], recipient: str, rows: list[Row], ids: list[str]
) -> None:
    """One recipient of one event: `ids` are the Message-IDs of all copies that were kept."""
    what = f"{recipient} of {event[1]}: kept {ids or 'nothing'}; " + ("; ".join(map(str, rows)) or "no row")

    def broken(promise: str) -> None:
        verdict.broken.append(Broken(promise, what))

    if len(rows) > 1:
        broken("one delivery for each recipient of an event")
    if not rows:
        verdict.missing += not ids
        broken("every recipient of an accepted event has a delivery")
        return
    row = rows[0]
    if not ids and (row.status not in FINAL_WITH_REASON or not row.reason):
        verdict.missing += 1
        verdict.hollow += row.status == "sent"
        broken("every recipient is sent the mail or the ledger says why not")
    if ids and not _admitted(row):
        broken("what the server kept is `sent` in the ledger, or marked uncertain")
    if any(one != row.message_id for one in ids):
        broken("a delivery keeps its Message-ID on every try")
    if len(ids) > 1:
        _judge_copies(verdict, row, len(ids), broken)


def _admitted(row: Row) -> bool:
    return row.status == "sent" or row.uncertain


def _judge_copies(verdict: Verdict, row: Row, copies: int, broken: Callable[[str], None]) -> None:
    verdict.duplicates += copies - 1
    doubts = [reason for reason in row.attempts if reason in DOUBTS]
    verdict.doubts.update(doubts)
    verdict.robbed.update(row.workers)
    if not row.uncertain:
        verdict.unflagged += 1
        broken("a second copy is marked uncertain in the ledger")
    if copies - 1 > len(doubts):
        broken("each further copy follows an attempt whose end nobody could know")
    if row.on_uncertain == "hold" and not row.released:
        broken("a type that says `hold` is never sent twice by itself")
