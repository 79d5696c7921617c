"""A claim becomes an envelope: the kept content of its variant, finished for one person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.delivery import Claim, Outcome, Status
from dispatcher.ledger.claims import VariantContent
from dispatcher.ledger.ledger import Ledger
from dispatcher.mail.message import Addressee, Sealed, finish
from dispatcher.smtp.envelope import Envelope

#: Variants kept in memory; the rows of one batch rarely need more.
KEPT = 1_000

Content = Sealed | str


class Compose:
    """Builds what is sent."""

    def __init__(self, catalogue: Catalogue, ledger: Ledger) -> None:
        self._catalogue = catalogue
        self._ledger = ledger
        self._kept: dict[int, Content] = {}

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
        return found

    def envelope(self, claim: Claim, content: Content) -> Envelope | Outcome:
        """The whole message, or the outcome of one that cannot be made."""
        if isinstance(content, str):
            return Outcome(Status.FAILED, "unsendable", reply=content)
        sender = self._catalogue.sender(claim.sender)
        person = Addressee(claim.address, claim.name, claim.message_id, claim.created_at, sender)
        try:
            return Envelope(sender.address, claim.address, finish(content, person))
        except ValueError as error:
            return Outcome(Status.FAILED, "unsendable", reply=str(error)[:500])


def _unsealed(content: VariantContent | None) -> Content:
    if content is None:
        return "its content is missing from the ledger"
    try:
        return Sealed.load(content.content)
    except (ValueError, KeyError, TypeError):
        return "its content in the ledger is damaged, or of another version"
