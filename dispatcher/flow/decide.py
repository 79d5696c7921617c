"""An admin decides about a date from a link in a mail: they approve it, or choose another that is offered.

Looking changes nothing. A decision is an event of our own, under an id made of the plan, its revision and
the state in which it was seen: of all who decide from the same sight, one is heard, and that one as often as
they like.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Literal

from dispatcher.domain.address import folded
from dispatcher.domain.audience import Question, Recipient, resolve
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.event import Selection
from dispatcher.domain.instance import Instance
from dispatcher.domain.link import LinkExpired, LinkInvalid, key_of, sign, verify
from dispatcher.domain.moment import day_in, parse_datetime
from dispatcher.domain.plan import Decision, Move, Plan, PlanState
from dispatcher.errors import EventConflict, EventInvalid, NotFound
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.decide_links import DECIDERS, FORM_FOR, UNDECIDED, Asker
from dispatcher.flow.submit import Submission, Submit
from dispatcher.ledger.ledger import Ledger

#: The source of the events that decisions are.
SOURCE: Final = "dispatcher:decisions"
#: The turns that say which date holds.
_DATED: Final = frozenset({"scheduled", "approved", "rescheduled", "fallback"})


class Standing(StrEnum):
    """What there is to say to who follows a link; each has a page of its own."""

    OPEN = "open"  # they may decide
    DONE = "done"  # they have decided
    ALREADY = "already"  # somebody else has
    SUPERSEDED = "superseded"  # the date has moved since their mail
    EXPIRED = "expired"  # the date of their mail has passed
    STARTED = "started"
    OVER = "over"
    CANCELLED = "cancelled"
    STRANGER = "stranger"  # they are no admin of the instance any more


_ENDED: Final = {
    PlanState.IN_PROGRESS: Standing.STARTED,
    PlanState.SUCCEEDED: Standing.OVER,
    PlanState.CANCELLED: Standing.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody sees who follows their link.

    Attributes:
        type: The type whose banner the page has.
        title: The instance's, or its id where the lists do not have it.
        offered: Dates they may choose among, each with another as alternate; empty if they may not move it.
        approvable: Whether they may approve the date.
        decided: The decision that holds, if an admin took it.
        form: Goes with the form that they may send; empty if they may not.
    """

    standing: Standing
    asker: Asker
    plan: Plan
    type: str
    title: str
    time_zone: str
    offered: Sequence[datetime] = ()
    approvable: bool = False
    decided: Move | None = None
    form: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the form says, as it came in."""

    act: str
    preferred: str = ""
    alternate: str = ""
    form: str = ""


#: Why a decision was not taken: the form is no form of ours, is too old, or asks for what is not offered, for
#: one date twice, or for the dates that hold already.
Refused = Literal["unread", "stale", "unoffered", "same", "held"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a decision.

    Attributes:
        refused: Why it was not taken for itself; empty where the sight tells.
    """

    sight: Sight
    refused: Refused | None = None


class Decide:
    """Knows admins by their links, tells what there is to decide, and takes decisions."""

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

    async def look(self, token: str) -> Sight:
        """What the link's reader sees.

        Raises:
            LinkInvalid: The link is none of ours.
            ServiceUnreachable: The ledger does not answer.
        """
        key_of(token)  # what is no token costs the ledger nothing
        keys, now = await self._ledger.link_keys.all(), self._clock()
        expired = False
        try:
            asker = Asker.of(verify(token, "decide", keys, now))
        except LinkExpired as error:
            asker, expired = Asker.of(error.said), True
        self._recipients.refresh()  # who left the list an hour ago decides nothing
        try:
            plan = await self._ledger.plans.get(asker.plan)
        except NotFound:  # the ledger is not the one that the mail came from
            raise LinkInvalid from None
        sight = self._place(asker, plan)
        if sight.standing is Standing.STRANGER or plan.state not in UNDECIDED:
            return sight
        sight = self._decided(sight, await self._ledger.plans.moves(plan.id), expired=expired)
        may = not expired and asker.revision == plan.revision and now < plan.anchor
        return await self._with_form(sight, now) if may else sight

    async def decide(self, token: str, choice: Choice) -> Answer:
        """Take a decision; the same one again changes nothing.

        Raises:
            LinkInvalid: The link is none of ours.
            ServiceUnreachable: The ledger cannot commit.
        """
        sight = await self.look(token)
        if sight.standing is Standing.STRANGER or sight.plan.state not in UNDECIDED:
            return Answer(sight)
        try:
            form = verify(choice.form, "decide-form", await self._ledger.link_keys.all(), self._clock())
        except LinkExpired:
            return Answer(sight, "stale")
        except LinkInvalid:
            return Answer(sight, "unread")
        if any(form.get(key) != value for key, value in _bound(sight.asker).items()):
            return Answer(sight, "unread")
        if form.get("s") != sight.plan.state.value or not sight.form:
            return Answer(sight)  # somebody decided meanwhile, or this person a moment ago
        cadence = self._catalogue.cadences[sight.plan.key.cadence]
        turn, said, refused = _wish(sight, choice, cadence.anchor)
        if refused:
            return Answer(sight, refused)
        try:
            await self._submit([self._event(sight, turn, said)])
        except EventConflict:
            pass  # another decision from the same sight came first
        except EventInvalid:
            now_seen = await self.look(token)
            unchanged = now_seen.plan.version == sight.plan.version
            return Answer(now_seen, "unoffered" if unchanged else None)
        return Answer(await self.look(token))

    def _place(self, asker: Asker, plan: Plan) -> Sight:
        """Who asks about which instance, and how far the plan has come."""
        cadence = self._catalogue.cadences.get(plan.key.cadence)
        step = cadence.step_on("scheduled") if cadence else None
        type_ = (step[1].type if step else None) or ""
        instance = self._recipients.get(plan.key.instance)
        title = instance.title if instance else plan.key.instance
        person = self._admin(type_, instance, asker.address) if instance else None
        if person is None:
            return Sight(Standing.STRANGER, asker, plan, type_, title, "UTC")
        standing = _ENDED.get(plan.state, Standing.OPEN)
        return Sight(standing, asker, plan, type_, title, person.time_zone)

    def _admin(self, type_: str, instance: Instance, address: str) -> Recipient | None:
        spec = self._catalogue.types.get(type_)
        if spec is None:
            return None
        audience = resolve(Question(type_, spec, day_in(instance.time_zone, self._clock()), {}), instance)
        named = (one for one in audience.recipients if folded(one.address) == folded(address))
        return next((one for one in named if DECIDERS & set(one.roles)), None)

    def _decided(self, sight: Sight, moves: Sequence[Move], *, expired: bool) -> Sight:
        """Whether somebody has decided, and who; else whether their link still holds."""
        last = next((move for move in reversed(moves) if move.turn in _DATED), None)
        if last is not None and last.decision is not None and last.revision >= sight.asker.revision:
            mine = folded(last.decision.by) == folded(sight.asker.address)
            return replace(sight, standing=Standing.DONE if mine else Standing.ALREADY, decided=last)
        if sight.asker.revision != sight.plan.revision:
            return replace(sight, standing=Standing.SUPERSEDED)
        expired = expired or self._clock() >= sight.plan.anchor
        return replace(sight, standing=Standing.EXPIRED) if expired else sight

    async def _with_form(self, sight: Sight, now: datetime) -> Sight:
        """The sight with what may be decided from it."""
        plan = sight.plan
        offered = _offered(plan, now)
        if set(offered) <= {plan.anchor}:
            offered = []
        approvable = plan.state is PlanState.SCHEDULED and not plan.mandatory
        if not offered and not approvable:
            return sight
        says = {**_bound(sight.asker), "s": plan.state.value}
        form = sign(await self._ledger.link_keys.newest(), "decide-form", says, now + FORM_FOR)
        return replace(sight, offered=offered, approvable=approvable, form=form)

    def _event(
        self, sight: Sight, turn: Literal["approved", "rescheduled"], said: Mapping[str, Any]
    ) -> Submission:
        plan = sight.plan
        cadence = self._catalogue.cadences[plan.key.cadence]
        step = cadence.step_on(turn)
        return Submission(
            source=SOURCE,
            id=f"{plan.id}/{plan.revision}/{plan.state}",
            type=(step[1].type if step else None) or "",
            selection=Selection("instances", (plan.key.instance,)),
            thread=None,
            fields={cadence.about: plan.key.subject, **said},
            decision=Decision(sight.asker.address, sight.asker.delivery),
        )


def _bound(asker: Asker) -> dict[str, str]:
    """What ties a form to the link on whose page it stands."""
    return {"p": asker.plan, "r": str(asker.revision), "a": asker.address}


def _offered(plan: Plan, now: datetime) -> list[datetime]:
    """The dates that are offered and not past."""
    dates = plan.facts.get("offered_dates") or ()
    return sorted({date for one in dates if (date := parse_datetime(str(one))) > now})


def date_key(moment: datetime) -> str:
    """How a form names a date."""
    return moment.astimezone(UTC).isoformat()


def _held(plan: Plan) -> tuple[str, str]:
    """The dates that hold, as a form names them."""
    return date_key(plan.anchor), date_key(plan.alternate_at) if plan.alternate_at else ""


def _wish(
    sight: Sight, choice: Choice, anchor: str
) -> tuple[Literal["approved", "rescheduled"], dict[str, Any], Refused | None]:
    """What the form asks for: the turn, what its event says, and why it cannot be had."""
    if choice.act == "approve":
        return "approved", {}, None if sight.approvable else "unoffered"
    if choice.act != "reschedule":
        return "rescheduled", {}, "unread"
    dates = {date_key(date): date.isoformat() for date in sight.offered}
    if choice.preferred not in dates or choice.alternate not in {"", *dates}:
        return "rescheduled", {}, "unoffered"
    if choice.preferred == choice.alternate:
        return "rescheduled", {}, "same"
    if (choice.preferred, choice.alternate) == _held(sight.plan):
        return "rescheduled", {}, "held"
    said = {
        "rescheduled_by": "admin",
        **({"alternate_at": dates[choice.alternate]} if choice.alternate else {}),
    }
    return "rescheduled", {anchor: dates[choice.preferred], **said}, None
