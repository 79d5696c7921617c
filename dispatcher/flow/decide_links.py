"""Links by which an admin decides about a date: what they say, who gets one, and the URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from dispatcher.domain.cadence import Cadence
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.event import Event
from dispatcher.domain.language import DEFAULT, LANGUAGES
from dispatcher.domain.link import LinkInvalid, LinkKey, sign
from dispatcher.domain.plan import Plan, PlanKey, PlanState
from dispatcher.ledger.ledger import Ledger

#: Where the pages stand below the public URL.
PATH: Final = "/decide"
#: How long the form of a page may be sent: long enough for a call to colleagues.
FORM_FOR: Final = timedelta(hours=2)
#: Who decides.
DECIDERS: Final = frozenset({"admins", "global_admins"})
#: The states in which there is something to decide.
UNDECIDED: Final = frozenset({PlanState.SCHEDULED, PlanState.APPROVED})


@dataclass(frozen=True, slots=True)
class Asker:
    """Who follows a link, from which mail.

    Attributes:
        plan: The id of the plan that the mail was about.
        revision: The plan's, as of that mail.
        delivery: The id of the delivery that brought the link.
        language: The language that the mail was written in.
    """

    plan: str
    revision: int
    address: str
    delivery: str
    language: str

    @classmethod
    def of(cls, said: Mapping[str, str]) -> Asker:
        """Whom a link was made for, by what it says.

        Raises:
            LinkInvalid: It does not say that.
        """
        try:
            language = said["l"] if said["l"] in LANGUAGES else DEFAULT
            return cls(said["p"], int(said["r"]), said["a"], said["d"], language)
        except (KeyError, ValueError):
            raise LinkInvalid from None


def said_of(plan: Plan) -> dict[str, str]:
    """What all links of one mail about a plan say; kept with the mail's content until it is finished."""
    return {"p": plan.id, "r": str(plan.revision), "until": str(int(plan.anchor.timestamp()))}


def decide_link(public_url: str, key: LinkKey, said: Mapping[str, str], reader: Mapping[str, str]) -> str:
    """The URL at which one reader decides, until the date that their mail names.

    Args:
        public_url: Where readers reach the HTTP interface.
        key: Signs it.
        said: What `said_of` gave.
        reader: Their address, delivery and language as ``a``, ``d`` and ``l``.

    Raises:
        ValueError: `said` is not what `said_of` gives, or the address is too long for a link.
    """
    try:
        until = datetime.fromtimestamp(int(said["until"]), UTC)
        says = {"p": said["p"], "r": said["r"], **reader}
    except KeyError:
        raise ValueError("the mail has a place for a link to decide, and does not say about what") from None
    return f"{public_url}{PATH}/{sign(key, 'decide', says, until)}"


def deciding(catalogue: Catalogue, type_: str) -> tuple[str, Cadence] | None:
    """The cadence, with its key, whose mails of that type let admins decide; None if there is none."""
    for key, cadence in catalogue.cadences.items():
        if cadence.decisions and any(step.type == type_ for step in cadence.steps.values()):
            return key, cadence
    return None


async def links_of(
    catalogue: Catalogue, ledger: Ledger, event: Event, instances: Sequence[str], now: datetime
) -> Mapping[str, Mapping[str, str]]:
    """For each instance about which an event's mails let admins decide, what their links say.

    Raises:
        ServiceUnreachable: The ledger does not answer.
    """
    found = deciding(catalogue, event.effective_type)
    subject = event.fields.get(found[1].about) if found else None
    if found is None or not isinstance(subject, str):
        return {}
    plans = await ledger.plans.find([PlanKey(found[0], subject, instance) for instance in instances])
    return {
        key.instance: said_of(plan)
        for key, plan in plans.items()
        if plan.state in UNDECIDED and plan.anchor > now
    }
