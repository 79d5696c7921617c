"""A delivery: one mail of one event to one person about one instance, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Lane(StrEnum):
    """How soon a delivery must leave; each lane has a queue of its own."""

    URGENT = "urgent"
    NORMAL = "normal"
    BULK = "bulk"


class Status(StrEnum):
    """Where a delivery stands. The same words label the API, the CLI and the docs."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    HELD = "held"


#: Nothing more happens to a delivery in one of these by itself.
FINAL = frozenset(
    {Status.SENT, Status.FAILED, Status.SUPPRESSED, Status.CANCELLED, Status.EXPIRED, Status.HELD}
)
#: A worker may claim a delivery in one of these once its `next_try_at` has come.
DUE = (Status.QUEUED, Status.DEFERRED, Status.UNCERTAIN)


class OnUncertain(StrEnum):
    """What to do when nobody can know whether the server took the message."""

    RESEND = "resend"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a person gets a mail.

    Attributes:
        role: ``admins``, ``global_admins``, ``recipients``, ``users``, ``partners``, ``contact``
            or ``thread``.
        at: Where that is written: ``recipients/contoso-prod.yaml:10``, or the event's field or thread.
    """

    role: str
    at: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one try to send one message came to.

    Attributes:
        status: ``SENT``, ``DEFERRED`` (try again), ``FAILED`` (never) or ``UNCERTAIN``.
        reason: One of `OUTCOME_REASONS`.
        code: The SMTP reply code, if a reply came.
        enhanced_code: The enhanced status code of RFC 3463 (``5.1.1``), if the reply had one.
        reply: The reply's text, or what happened instead; at most 500 characters.
        tried: False if the server heard nothing of the message; that is no try, and nothing is recorded.
        later: Where it was not tried, in how many seconds to see to it again; 0 for at once.
    """

    status: Status
    reason: str
    code: int | None = None
    enhanced_code: str | None = None
    reply: str = ""
    tried: bool = True
    later: float = 0.0


#: Why a delivery stands where it stands without a try; beside `OUTCOME_REASONS`, there are no others.
MOVE_REASONS = frozenset(
    {
        "cancelled",  # its event was withdrawn before it left
        "domain_limit",  # it went back to the queue unsent, because its domain is at its limit
        "expired",  # what it announces was over before it left
        "incident",  # a major incident affects its instance, and its type waits for the end of that
        "incident_over",  # that is over, and it went back to the queue
        "opted_out",  # its reader wants no more mail of its type
        "poison",  # three workers in a row went away while they were sending it
        "relay_unreachable",  # it went back to the queue unsent, because the server takes nothing
        "released",  # a person let it go after it was held
        "replayed",  # a person had it tried again after it had failed
    }
)

#: The closed set of reasons an outcome may give.
OUTCOME_REASONS = frozenset(
    {
        "accepted",  # the server's 250 after the final dot
        "refused_temporarily",  # a 4xx reply to MAIL, RCPT or DATA
        "refused_permanently",  # a 5xx reply to MAIL, RCPT or DATA
        "relay_unreachable",  # no connection, no TLS, no greeting, a refused log-in, 421, a lost session
        "lost_after_data",  # the connection was lost, or time ran out, once DATA had begun
        "lease_expired",  # the worker that was sending it went away
        "unsendable",  # the message could not be built for this person
    }
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try, as the ledger keeps it."""

    at: datetime
    status: Status
    reason: str
    code: int | None
    enhanced_code: str | None
    reply: str


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A delivery as `expand` makes it.

    Attributes:
        instance: The instance it is about; for a mail that groups several, the first of them.
        instances: All instances it is about.
        address: Where it goes, in its canonical form.
        variant: The key of the rendered content in `NewVariant.key`.
        sender: The key of the sender in the catalogue.
        expires_at: From when on it must not be sent any more, or None.
        thread_root: The Message-ID that its thread began with for its reader; None if this is the first.
    """

    instance: str
    instances: tuple[str, ...]
    address: str
    name: str | None
    language: str
    time_zone: str
    reasons: tuple[Reason, ...]
    variant: str
    sender: str
    expires_at: datetime | None = None
    thread_root: str | None = None


@dataclass(frozen=True, slots=True)
class NewVariant:
    """Content that was rendered once for everybody who reads the same thing.

    Attributes:
        key: Unique within the event.
        subject: The subject line, decoded.
        content: What `dispatcher.mail` needs to finish a message for one person; opaque bytes.
        template: The template's name and the version of its bytes: ``maintenance@3f2a9c1e``.
    """

    key: str
    subject: str
    content: bytes
    template: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as the ledger holds it.

    Attributes:
        id: Unique; random letters and digits.
        attempts: Oldest first; empty where a query does not ask for them.
        next_try_at: When a worker may claim it, or None when nothing more will be tried.
        uncertain: True if it ever was in `Status.UNCERTAIN`.
        expires_at: From when on it is not sent any more, or None.
    """

    id: str
    event: str
    type: str
    instance: str
    instances: tuple[str, ...]
    address: str
    name: str | None
    language: str
    time_zone: str
    reasons: tuple[Reason, ...]
    sender: str
    lane: Lane
    status: Status
    reason: str
    message_id: str
    subject: str
    template: str
    tries: int
    next_try_at: datetime | None
    uncertain: bool
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this worker may now send, until its lease runs out.

    Attributes:
        variant: The ledger's id of the content, the same for all that share it.
        fence: Rises with every claim; an outcome written with an older one is refused.
        created_at: When the delivery was made; its message's Date.
        retry_from: When the first try was recorded; before it, when the delivery was made or put back.
        tries: How many tries came before this one.
        expires_at: From when on it must not be sent any more, or None.
        thread_root: The Message-ID that its thread began with for its reader, or None.
    """

    id: str
    event: str
    type: str
    instance: str
    address: str
    name: str | None
    language: str
    sender: str
    lane: Lane
    message_id: str
    variant: int
    fence: int
    tries: int
    created_at: datetime
    retry_from: datetime
    on_uncertain: OnUncertain
    expires_at: datetime | None = None
    thread_root: str | None = None
