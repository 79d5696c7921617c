"""A slow, obvious reference of what an update tells whom, and when.

It was written from the words alone: policy.md, sections 2 and 6, and the rules on the life of a plan and on
the hour of a step. It shares no line with the program. Where the program is quick, this walks: days one after
the other, quarters of an hour until the clock on the wall shows nine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

#: Section 2, row by row: mail, admin centre, in-product alert.
MAIL, CENTRE, PRODUCT = "mail", "admin-centre", "in-product"
CHANNELS = {
    "update-scheduled": {MAIL, CENTRE, PRODUCT},
    "update-confirmed": {CENTRE},
    "update-in-progress": {CENTRE},
    "update-succeeded": {MAIL, CENTRE},
    "update-fallback": {MAIL, CENTRE},
    "update-rescheduled": {MAIL, CENTRE},
    "update-compatibility": {MAIL, CENTRE},
    "update-cancelled": {MAIL, CENTRE},  # not in the policy: whoever knows the date hears that it is off
}
#: Days before the date -> where the reminder stands.
REMINDERS = {
    90: {MAIL, CENTRE},
    30: {MAIL, CENTRE},
    15: {MAIL, CENTRE},
    7: {MAIL, CENTRE, PRODUCT},
    0: {MAIL, CENTRE},
}
#: Section 6.
ADMINS_AND_LIST = ("admins", "global_admins", "recipients", "partners")
ROLES = {
    "update-scheduled": ADMINS_AND_LIST,
    "update-reminder": ADMINS_AND_LIST,
    "update-rescheduled": ADMINS_AND_LIST,
    "update-fallback": ADMINS_AND_LIST,
    "update-compatibility": ADMINS_AND_LIST,
    "update-cancelled": ADMINS_AND_LIST,
    "update-succeeded": ("admins", "global_admins", "recipients", "users"),
    "update-confirmed": (),
    "update-in-progress": (),
}
#: These announce the date of the plan; when it has passed, they are of no use to anybody.
DATED = ("update-scheduled", "update-reminder", "update-rescheduled", "update-fallback")
STAGES = ("queued", "backup", "restore", "database-upgrade")
AHEAD = timedelta(hours=3)
NINE = 9 * 60  # minutes past midnight
QUARTER = timedelta(minutes=15)  # every zone of our days differs from UTC by whole quarters of an hour


@cache
def nine_o_clock(zone: str, day: date) -> datetime:
    """Nine in the morning there: when the clock on the wall first shows it or has passed it."""
    there = ZoneInfo(zone)
    wanted = datetime(day.year, day.month, day.day, NINE // 60, NINE % 60)  # noqa: DTZ001 - as a wall shows it
    # At UTC+14 it is eight o'clock then, and nowhere later.
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=6)
    while moment.astimezone(there).replace(tzinfo=None) < wanted:
        moment += QUARTER
    return moment


def people(instance: dict[str, Any], type_: str, day: date) -> list[str]:
    """The addresses that get a mail of a type on a day, each once."""
    found: dict[str, str] = {}
    for role in ROLES[type_]:
        for entry in instance.get(role, []):
            person: dict[str, Any] = {"address": entry} if isinstance(entry, str) else entry
            if role == "recipients":
                # All of the family have the banner "scheduling".
                if "only" in person and not {type_, "scheduling"} & set(person["only"]):
                    continue
                if {type_, "scheduling"} & set(person.get("except", [])):
                    continue
                if "until" in person and person["until"] < day:
                    continue
            found.setdefault(person["address"].lower(), person["address"])
    return list(found.values())


@dataclass
class Said:
    """An event of an update at one instance.

    Attributes:
        turn: scheduled, approved, rescheduled, in-progress, succeeded, fallback, cancelled or compatibility.
        arrives: When it is accepted.
        time: When it says that it happened.
    """

    id: str
    turn: str
    arrives: datetime
    time: datetime
    scheduled_at: datetime | None = None
    alternate_at: datetime | None = None
    offered: tuple[datetime, ...] = ()
    by: str | None = None
    mandatory: bool = False
    stage: str | None = None

    @property
    def type(self) -> str:
        return "update-confirmed" if self.turn == "approved" else f"update-{self.turn}"


@dataclass(frozen=True)
class Told:
    """What came of an event or of a step: the same that a row of ``simulate`` says."""

    at: datetime
    type: str
    step: str
    status: str  # would-send, recorded, skipped, refused
    channels: frozenset[str] = frozenset()
    to: tuple[str, ...] = ()


@dataclass
class Reminder:
    days: int
    due: datetime


@dataclass
class Update:
    """One update at one instance, from the first word to the last."""

    instance: dict[str, Any]
    state: str = "none"
    anchor: datetime | None = None
    alternate: datetime | None = None
    offered: tuple[datetime, ...] = ()
    mandatory: bool = False
    stage: str | None = None
    said_at: datetime | None = None
    began_with_reschedule: bool = False
    waiting: list[Reminder] = field(default_factory=list)
    sent: set[int] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    before: list[Said] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    # -- what passes with time --------------------------------------------------------------------

    def pass_time(self, until: datetime) -> None:
        """Send every reminder that is due by then."""
        for reminder in sorted(self.waiting, key=lambda one: one.due):
            if reminder.due <= until:
                self.waiting.remove(reminder)
                self.sent.add(reminder.days)
                self._tell(reminder.due, "update-reminder", f"{reminder.days}d", REMINDERS[reminder.days])

    def plan(self, made: datetime) -> None:
        """Walk the ninety days before the date, and put a reminder on each that has one."""
        assert self.anchor is not None
        zone = self.instance["time_zone"]
        there = ZoneInfo(zone)
        the_day = self.anchor.astimezone(there).date()
        today = made.astimezone(there).date()
        self.waiting = []
        for days in range(max(REMINDERS), -1, -1):
            if days not in REMINDERS or days in self.sent:
                continue
            day = the_day - timedelta(days=days)
            due = nine_o_clock(zone, day)
            if due > self.anchor - AHEAD:
                due = self.anchor - AHEAD  # never less than three hours before the thing itself
            if day < today:
                self._skip(due, days)
            elif due >= made:
                self.waiting.append(Reminder(days, due))
            elif self.anchor - made < AHEAD:
                self._skip(due, days)
            else:
                self.waiting.append(Reminder(days, made))  # today, at once

    # -- what is said -----------------------------------------------------------------------------

    def hear(self, said: Said) -> str:
        """Apply an event; answers told, recorded, refused or repeated."""
        self.pass_time(said.arrives)
        if said.id in self.known:
            return "repeated"
        outcome = self._turn(said)
        if outcome == "refused":
            self.told.append(Told(said.arrives, said.type, said.turn, "refused"))
            return outcome
        self.known.add(said.id)
        if outcome == "recorded":
            self.told.append(Told(said.arrives, said.type, said.turn, "recorded", frozenset()))
        else:
            self._tell(said.arrives, said.type, said.turn, CHANNELS[said.type])
            self.pass_time(said.arrives)
        return outcome

    def _turn(self, said: Said) -> str:
        begins = self.state == "none"
        outcome = self._taken(said)
        if begins and self.state != "none" and outcome == "told":
            outcome = self._catch_up(said)
        return outcome

    def _catch_up(self, said: Said) -> str:
        """What was said after the first word, and came before it, counts now; its order is that of time."""
        date = self.anchor
        for word in sorted(self.before, key=lambda one: one.time):
            if word.time > said.time or word.time == said.time < said.arrives:
                self._taken(replace(word, arrives=said.arrives))
        over = self.state in ("in-progress", "succeeded", "cancelled") or self.anchor != date
        return "recorded" if over else "told"

    def _taken(self, said: Said) -> str:  # noqa: C901 - the rules stand here one below the other
        is_open = self.state in ("scheduled", "approved", "in-progress")
        if said.turn == "scheduled":
            return self._scheduled(said, is_open)
        if self.state == "none":
            return self._rescheduled(said) if said.turn == "rescheduled" else self._unplanned(said)
        if not is_open:
            return "refused"
        if said.turn in ("approved", "rescheduled", "fallback") and self.said_at and said.time < self.said_at:
            return "recorded"  # overtaken by a newer word on the date
        if said.turn == "approved":
            if self.state != "scheduled" or (said.scheduled_at and said.scheduled_at != self.anchor):
                return "refused"
            self.state = "approved"
            return "told"
        if said.turn == "rescheduled":
            return "refused" if self.state == "in-progress" else self._rescheduled(said)
        if said.turn == "in-progress":
            if self.state == "in-progress" and not self._further(said.stage):
                return "refused"
            self.state, self.stage, self.waiting = "in-progress", said.stage, []
            return "told"
        if said.turn == "fallback":
            return self._fallback(said)
        if said.turn in ("succeeded", "cancelled"):
            self.state, self.waiting = said.turn, []
            if said.turn == "cancelled":
                self.said_at = max(said.time, self.said_at or said.time)
        return "told"

    def _unplanned(self, said: Said) -> str:
        """Without a plan an event is told as it is, if it says all that its mail needs."""
        names_a_date = said.turn in ("approved", "fallback")
        if names_a_date and said.scheduled_at is None:
            return "refused"
        self.before.append(said)
        return "told"

    def _further(self, stage: str | None) -> bool:
        if stage is None or self.stage is None:
            return stage is not None
        return STAGES.index(stage) > STAGES.index(self.stage)

    def _scheduled(self, said: Said, is_open: bool) -> str:
        assert said.scheduled_at is not None
        if said.offered:
            if said.scheduled_at not in said.offered:
                return "refused"
            if said.alternate_at and said.alternate_at not in said.offered:
                return "refused"
        if said.alternate_at == said.scheduled_at:
            return "refused"
        if is_open:
            if self.began_with_reschedule:  # the announcement that is waited for, whatever its time
                self.offered, self.mandatory = said.offered, said.mandatory
                self.began_with_reschedule = False
                return "recorded"
            return "refused"
        if self.state == "succeeded":
            return "recorded" if self.began_with_reschedule else "refused"
        if self.state == "cancelled" and self.said_at and said.time < self.said_at:
            return "recorded"  # it was said before the cancellation, and comes after it
        self.state, self.stage, self.began_with_reschedule = "scheduled", None, False
        self.offered, self.mandatory = said.offered, said.mandatory
        self._date(said, said.scheduled_at, said.alternate_at)
        return "told"

    def _rescheduled(self, said: Said) -> str:
        assert said.scheduled_at is not None
        if said.scheduled_at < said.time or said.alternate_at == said.scheduled_at:
            return "refused"
        if self.state != "none":
            if said.scheduled_at == self.anchor and said.alternate_at == self.alternate:
                return "refused"
            if not self._may_choose(said):
                return "refused"
        else:
            self.began_with_reschedule = True
        self.state = "approved" if said.by == "admin" else "scheduled"
        self._date(said, said.scheduled_at, said.alternate_at)
        return "told"

    def _may_choose(self, said: Said) -> bool:
        """Whether it is the vendor, or the dates are among those that the vendor offered."""
        if said.by == "vendor" or self.began_with_reschedule:
            return True  # before the announcement came, nobody knows what it offers
        if said.by is None and not self.offered:
            return True
        if said.scheduled_at not in self.offered:
            return False
        return said.alternate_at is None or said.alternate_at in self.offered

    def _fallback(self, said: Said) -> str:
        to = said.scheduled_at or self.alternate
        if to is None or to == self.anchor:
            return "refused"
        # The alternate was approved with the date. Any other date is the vendor's, and nobody approved it.
        self.state = "approved" if self.state != "scheduled" and to == self.alternate else "scheduled"
        self.stage = None
        self._date(said, to, None)
        return "told"

    def _date(self, said: Said, anchor: datetime, alternate: datetime | None) -> None:
        if anchor != self.anchor:
            self.sent = set()  # of another date, everything is told anew
        # Between two clocks of one zone Python counts what the clock shows; three hours are three hours.
        self.anchor, self.alternate, self.said_at = anchor.astimezone(UTC), alternate, said.time
        self.plan(said.arrives)

    # -- what is told -----------------------------------------------------------------------------

    def _tell(self, at: datetime, type_: str, step: str, channels: set[str]) -> None:
        day = at.astimezone(ZoneInfo(self.instance["time_zone"])).date()
        to = tuple(people(self.instance, type_, day)) if MAIL in channels else ()
        if to and type_ in DATED and self.anchor is not None and self.anchor <= at:
            self.told.append(Told(at, type_, step, "skipped"))  # a mail that names a date is over with it
            return
        status = "would-send" if to or channels - {MAIL} else "recorded"
        self.told.append(Told(at, type_, step, status, frozenset(channels), to))

    def _skip(self, due: datetime, days: int) -> None:
        self.told.append(Told(due, "update-reminder", f"{days}d", "skipped", frozenset(), ()))
