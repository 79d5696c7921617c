"""A claim becomes an envelope: the kept content of its variant, finished for one person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.delivery import Claim, Outcome, Status
from dispatcher.domain.link import LinkKey
from dispatcher.flow.choices import Chooser, choices_link, optional_types
from dispatcher.ledger.claims import VariantContent
from dispatcher.ledger.ledger import Ledger
from dispatcher.mail.content import UNSUBSCRIBE
from dispatcher.mail.message import Addressee, Sealed, finish
from dispatcher.smtp.envelope import Envelope

#: Variants kept in memory; the rows of one batch rarely need more.
KEPT = 1_000
#: A worker that was started without the setting must not cost anybody a mail that others can send.
_NO_URL = (
    "the mail was made with a link to opt out, and this worker does not know where that leads: "
    "set DISPATCHER_PUBLIC_URL as it was, on every machine, and restart the worker"
)

Content = Sealed | str


class Compose:
    """Builds what is sent.

    Attributes:
        optional: The types that a reader may opt out of; their mails say how.
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
        self._kept: dict[int, Content] = {}
        self.optional = optional_types(catalogue)

    async def contents(self, claims: Sequence[Claim]) -> Mapping[int, Content]:
        """The content of each claim's variant, or in its place why there is none.

        Raises:
            ServiceUnreachable: The ledger does not answer.
        """
        wanted = {claim.variant for claim in claims}
        found = {variant: self._kept[variant] for variant in wanted & self._kept.keys()}
        if missing := sorted(wanted - found.keys()):
            read = await self._ledger.claims.content(missing)
            found |= {variant: _unsealed(read.get(variant)) for variant in missing}
        if len(self._kept) > KEPT:
            self._kept.clear()
        self._kept |= found
        if self._public_url and any(self._has_link(claim, found[claim.variant]) for claim in claims):
            self._key = await self._ledger.link_keys.newest()
        return found

    def envelope(self, claim: Claim, content: Content) -> Envelope | Outcome:
        """The whole message, or the outcome of one that cannot be made."""
        if isinstance(content, str):
            return Outcome(Status.FAILED, "unsendable", reply=content)
        sender = self._catalogue.sender(claim.sender)
        link = None
        if self._has_link(claim, content):
            if self._key is not None and self._public_url:
                chooser = Chooser(claim.address, claim.type, claim.language)
                link = choices_link(self._public_url, self._key, chooser)
            elif _shows_link(content):
                return Outcome(Status.DEFERRED, "unsendable", reply=_NO_URL)
        person = Addressee(
            claim.address,
            claim.name,
            claim.message_id,
            claim.created_at,
            sender,
            thread_root=claim.thread_root,
            unsubscribe=link,
        )
        try:
            return Envelope(sender.address, claim.address, finish(content, person))
        except ValueError as error:
            return Outcome(Status.FAILED, "unsendable", reply=str(error)[:500])

    def _has_link(self, claim: Claim, content: Content) -> bool:
        """Whether a mail says how to opt out, as far as there is a public URL."""
        return claim.type in self.optional or _shows_link(content)


def _shows_link(content: Content) -> bool:
    """Whether there is a place for the link in the content, which stays as it was rendered."""
    if isinstance(content, str):
        return False
    slot = UNSUBSCRIBE.encode()
    return slot in content.text or slot in content.html


def _unsealed(content: VariantContent | None) -> Content:
    if content is None:
        return "its content is missing from the ledger"
    try:
        return Sealed.load(content.content)
    except (ValueError, KeyError, TypeError):
        return "its content in the ledger is damaged, or of another version"
