"""A claim becomes an envelope: the kept content of its variant, finished for one person."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.delivery import Claim, Outcome, Status
from dispatcher.domain.link import LinkKey
from dispatcher.flow.choices import Chooser, choices_link, optional_types
from dispatcher.flow.decide_links import decide_link
from dispatcher.flow.incidents import waiting_types
from dispatcher.ledger.claims import VariantContent
from dispatcher.ledger.ledger import Ledger
from dispatcher.mail.content import DECIDE, UNSUBSCRIBE
from dispatcher.mail.message import Addressee, Place, Sealed, filled, opening
from dispatcher.smtp.envelope import Envelope, Lines, lines

#: Bytes of content kept in memory, those used last; the rows of one batch rarely need more than one of it.
KEPT_BYTES = 16_000_000
#: A worker that was started without the setting must not cost anybody a mail that others can send.
_NO_URL = (
    "the mail was made with a link for its reader, and this worker does not know where that leads: "
    "set DISPATCHER_PUBLIC_URL as it was, on every machine, and restart the worker"
)


@dataclass(frozen=True, slots=True)
class Ready:
    """Content that can be finished, and what it has a place for.

    Attributes:
        size: Bytes.
        runs: What follows the reader's own headers; looked at once, not for each reader.
        says: What a link to decide says beside who reads it.
    """

    size: int
    subject: bytes
    runs: tuple[Lines | Place, ...]
    says: Mapping[str, str]
    unsubscribe: bool
    decide: bool


Content = Ready | str


class Compose:
    """Builds what is sent.

    Attributes:
        optional: The types that a reader may opt out of; their mails say how.
        waiting: The types whose mail waits while a major incident affects its instance.
    """

    def __init__(self, catalogue: Catalogue, ledger: Ledger, public_url: str | None = None) -> None:
        """Begin with nothing kept.

        Args:
            catalogue: The catalogue.
            ledger: Has the contents, and the keys that sign links.
            public_url: Where links lead; without it mails have none.
        """
        self._catalogue = catalogue
        self._ledger = ledger
        self._public_url = public_url
        self._key: LinkKey | None = None
        self._kept: OrderedDict[int, Ready] = OrderedDict()
        self._kept_bytes = 0
        self.optional = optional_types(catalogue)
        self.waiting = waiting_types(catalogue)

    async def contents(self, claims: Sequence[Claim]) -> Mapping[int, Content]:
        """The content of each claim's variant, or in its place why there is none.

        Raises:
            ServiceUnreachable: The ledger does not answer.
        """
        wanted = {claim.variant for claim in claims}
        found: dict[int, Content] = {}
        for variant in wanted & self._kept.keys():
            self._kept.move_to_end(variant)
            found[variant] = self._kept[variant]
        if missing := sorted(wanted - found.keys()):
            read = await self._ledger.claims.content(missing)
            for variant in missing:
                found[variant] = self._keep(variant, _ready(read.get(variant)))
        if self._public_url and any(self._has_link(claim, found[claim.variant]) for claim in claims):
            self._key = await self._ledger.link_keys.newest()
        return found

    def envelope(self, claim: Claim, content: Content) -> Envelope | Outcome:
        """The whole message, or the outcome of one that cannot be made."""
        if isinstance(content, str):
            return Outcome(Status.FAILED, "unsendable", reply=content)
        sender = self._catalogue.sender(claim.sender)
        if (content.unsubscribe or content.decide) and (self._key is None or not self._public_url):
            return Outcome(Status.DEFERRED, "unsendable", reply=_NO_URL)
        try:
            person = Addressee(
                claim.address,
                claim.name,
                claim.message_id,
                claim.created_at,
                sender,
                thread_root=claim.thread_root,
                unsubscribe=self._stop_link(claim, content),
                decide=self._decide_link(claim, content),
            )
            return Envelope(sender.address, claim.address, _finished(content, person))
        except ValueError as error:
            return Outcome(Status.FAILED, "unsendable", reply=str(error)[:500])

    def _keep(self, variant: int, content: Content) -> Content:
        """Have it at hand for later batches; what was not used for longest makes room."""
        if isinstance(content, str):
            return content
        self._kept[variant] = content
        self._kept_bytes += content.size
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= self._kept.popitem(last=False)[1].size
        return content

    def _has_link(self, claim: Claim, content: Content) -> bool:
        """Whether a mail has a link for its reader, as far as there is a public URL."""
        if claim.type in self.optional:
            return True
        return not isinstance(content, str) and (content.unsubscribe or content.decide)

    def _stop_link(self, claim: Claim, content: Ready) -> str | None:
        """Where the reader opts out; mails that were made without a link have it in their header."""
        stops = claim.type in self.optional or content.unsubscribe
        if not stops or self._key is None or not self._public_url:
            return None
        chooser = Chooser(claim.address, claim.type, claim.language)
        return choices_link(self._public_url, self._key, chooser)

    def _decide_link(self, claim: Claim, content: Ready) -> str | None:
        """Where the reader decides about the date."""
        if not content.decide or self._key is None or not self._public_url:
            return None
        reader = {"a": claim.address, "d": claim.id, "l": claim.language}
        return decide_link(self._public_url, self._key, content.says, reader)


def _ready(content: VariantContent | None) -> Content:
    if content is None:
        return "its content is missing from the ledger"
    try:
        sealed = Sealed.load(content.content)
        return Ready(
            len(content.content),
            sealed.subject,
            tuple(run if isinstance(run, Place) else lines(run) for run in sealed.runs()),
            sealed.decide,
            sealed.has(UNSUBSCRIBE),
            sealed.has(DECIDE),
        )
    except (ValueError, KeyError, TypeError):
        return "its content in the ledger is damaged, or of another version"


def _finished(content: Ready, person: Addressee) -> tuple[Lines, ...]:
    """The message for `person`, as `dispatcher.mail.message.finish` gives it, ready for the wire.

    Raises:
        ValueError: What is the reader's own cannot stand where it goes.
    """
    own = filled([run for run in content.runs if isinstance(run, Place)], person)
    rest = [lines(own[run]) if isinstance(run, Place) else run for run in content.runs]
    return (lines(opening(content.subject, person)), *rest)
