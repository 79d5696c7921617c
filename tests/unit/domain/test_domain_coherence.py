from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from domain_examples import plain_catalogue, shipped

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.coherence import problems_of
from dispatcher.domain.colour import MIN_CONTRAST, contrast

#: Policy, section 5: light background and text, dark background and text, cue.
BANNERS = {
    "maintenance": ("#FFDDB3", "#242424", "#4D2A00", "#FFDDB3", "■"),
    "scheduling": ("#CFE4FA", "#242424", "#0C3B5E", "#CFE4FA", "→"),
    "incident": ("#F98845", "#000000", "#BC4B09", "#FFFFFF", "▲"),
    "restored": ("#C9EAC9", "#242424", "#094509", "#C9EAC9", "✓"),
    "awareness": ("#BFDDF5", "#242424", "#112D42", "#BFDDF5", "●"),
    "readiness": ("#107C10", "#FFFFFF", "#0C5E0C", "#FFFFFF", "★"),
    "lifecycle": ("#004E8C", "#FFFFFF", "#00467E", "#FFFFFF", "◆"),
}
#: Policy, sections 1 and 5. The family of updates is about dates, so its banner is that of scheduling.
WORN = {
    "planned-maintenance": "maintenance",
    "unplanned-maintenance": "maintenance",
    "security-update": None,
    "update-scheduled": "scheduling",
    "update-reminder": "scheduling",
    "update-confirmed": "scheduling",
    "update-in-progress": "scheduling",
    "update-succeeded": "scheduling",
    "update-fallback": "scheduling",
    "update-rescheduled": "scheduling",
    "update-compatibility": "scheduling",
    "service-incident": "incident",
    "major-service-incident": "incident",
    "service-restored": "restored",
    "post-incident-report": "incident",
    "general-awareness": "awareness",
    "launch-readiness": "readiness",
    "post-purchase": "lifecycle",
    "support-case-received": "awareness",
    "support-case-closing": "awareness",
    "support-case-resolved": "awareness",
    # Ours: the policy has no word for them.
    "update-cancelled": "scheduling",
    "obligation-overdue": "incident",
}


def test_the_shipped_catalogue_is_coherent() -> None:
    """Nothing is wrong with what comes with the product."""
    assert problems_of(shipped()) == []


def test_the_small_catalogue_of_these_tests_is_coherent() -> None:
    """What the tests below break is whole before."""
    assert problems_of(Catalogue.model_validate(plain_catalogue())) == []


def test_the_banners_are_the_policy_s() -> None:
    """Background, text and cue of each banner are exactly those of the policy, light and dark."""
    found = {
        key: (banner.background, banner.text, banner.dark.background, banner.dark.text, banner.cue)
        for key, banner in shipped().banners.items()
    }

    assert found == BANNERS


@pytest.mark.parametrize("key", BANNERS)
def test_every_banner_can_be_read(key: str) -> None:
    """Text on each banner has the contrast that WCAG asks for, light and dark."""
    light, text, dark, dark_text, _ = BANNERS[key]

    assert contrast(light, text) >= MIN_CONTRAST
    assert contrast(dark, dark_text) >= MIN_CONTRAST


def test_every_type_wears_the_policy_s_banner() -> None:
    """Each communication type has the banner that the policy gives it."""
    assert {key: spec.banner for key, spec in shipped().types.items()} == WORN


def test_urgent_and_optional_types_are_the_policy_s() -> None:
    """What cannot wait is urgent; only series and awareness may be declined; the report is in English."""
    types = shipped().types

    assert {key for key, spec in types.items() if spec.lane == "urgent"} == {
        "unplanned-maintenance", "service-incident", "major-service-incident", "service-restored",
        "obligation-overdue",
    }  # fmt: skip
    assert {key for key, spec in types.items() if spec.optional} == {
        "general-awareness", "launch-readiness", "post-purchase",
    }  # fmt: skip
    assert {key: spec.languages for key, spec in types.items() if len(spec.languages) < 9} == {
        "post-incident-report": ["en"]
    }


def test_windows_come_for_calendars() -> None:
    """The types that announce a window bring it; all updates name it by the update's id."""
    assert {key: spec.calendar.identity for key, spec in shipped().types.items() if spec.calendar} == {
        "planned-maintenance": None,
        "unplanned-maintenance": None,
        "update-scheduled": "update",
        "update-reminder": "update",
        "update-rescheduled": "update",
        "update-fallback": "update",
        "update-cancelled": "update",
    }


def test_only_what_a_date_makes_pointless_expires() -> None:
    """Announcements end with what they announce; incidents, reports and series are told however late."""
    assert {key: spec.expires for key, spec in shipped().types.items() if spec.expires} == {
        "planned-maintenance": "end",
        "update-scheduled": "scheduled_at",
        "update-reminder": "scheduled_at",
        "update-fallback": "scheduled_at",
        "update-rescheduled": "scheduled_at",
        "support-case-closing": "closes_at",
    }


Change = Callable[[dict[str, Any]], object]


def note(**change: Any) -> Change:
    """A change to the type ``note``."""
    return lambda data: data["types"]["note"].update(change)


def fields(**change: Any) -> Change:
    """More fields for the type ``note``, given by what differs from an optional text."""
    specs = {key: {"kind": "text", "label": "Label"} | spec for key, spec in change.items()}
    return lambda data: data["types"]["note"]["fields"].update(specs)


def both(*changes: Change) -> Change:
    """Several changes, one after the other."""
    return lambda data: [change(data) for change in changes]


def banner(dark: bool = False, **change: Any) -> Change:
    """A change to the banner ``awareness``."""

    def apply(data: dict[str, Any]) -> None:
        palette = data["banners"]["awareness"]
        (palette["dark"] if dark else palette).update(change)

    return apply


WHEN: dict[str, Any] = {"kind": "datetime"}
#: What a calendar's window can be made of.
SPAN = fields(start=WHEN, end=WHEN | {"after": "start"}, other=WHEN, span={"kind": "duration"})
AHEAD = "Name a field that lies ahead, or give it an example like +14d"
MOMENT = "Give a date and time with offset, like 2027-03-06T22:00+01:00 or 2027-03-06T21:00Z"
BROKEN: dict[str, tuple[Change, str, str]] = {
    "sender": (
        lambda data: data.update(senders={}),
        "senders", "has no sender `default`. Add default: {address: …, name: …}.",
    ),
    "faint": (
        banner(text="#CCCCCC"),
        "banners.awareness",
        "text #CCCCCC on #BFDDF5 has a contrast of 1.14:1. Choose colours with at least 4.5:1.",
    ),
    "faint-dark": (
        banner(dark=True, text="#112D43"),
        "banners.awareness.dark",
        "text #112D43 on #112D42 has a contrast of 1.00:1. Choose colours with at least 4.5:1.",
    ),
    "banner": (
        note(banner="awarenes"),
        "types.note.banner", "'awarenes' is no banner. Did you mean awareness?",
    ),
    "banner-far": (note(banner="x"), "types.note.banner", "'x' is no banner. Use one of awareness."),
    "no-banner": (note(banner=None), "types.note.banner", "is null, yet mail is sent. Name a banner."),
    "told": (
        note(audience={"roles": ["admins"], "told": ["nots"]}),
        "types.note.audience.told", "'nots' is no type. Did you mean note?",
    ),
    "told-chain": (
        note(audience={"roles": ["admins"], "told": ["note"]}),
        "types.note.audience.told",
        "names 'note', which itself follows others. Name the types that begin a thread.",
    ),
    "becomes-type": (
        both(fields(down={"kind": "boolean"}), note(becomes={"type": "maintenance", "when": "down"})),
        "types.note.becomes.type", "'maintenance' is no type. Use one of note.",
    ),
    "becomes-unknown": (
        note(becomes={"type": "note", "when": "summry"}),
        "types.note.becomes.when", "'summry' is no field of this type. Did you mean summary?",
    ),
    "becomes-kind": (
        note(becomes={"type": "note", "when": "summary"}),
        "types.note.becomes.when", "'summary' is of kind text. Name a field of kind boolean.",
    ),
    "mail-when": (
        note(mail_when={"field": "zzz", "otherwise": "later"}),
        "types.note.mail_when.field", "'zzz' is no field of this type. Use one of summary.",
    ),
    "nobody-at-all": (
        note(audience={}),
        "types.note.audience", "names no roles. Add roles, or say in `nobody` why nobody is mailed.",
    ),
    "roles-and-nobody": (
        note(audience={"roles": ["admins"], "nobody": "because"}),
        "types.note.audience", "has both roles and nobody. Keep one of the two.",
    ),
    "partners": (
        note(audience={"roles": ["admins", "partners"]}),
        "types.note.audience", "mails partners, who have no sender. Add senders.partners.",
    ),
    "no-contact": (
        note(audience={"roles": ["contact"]}),
        "types.note.audience", "mails the contact. Add a field `contact` of kind address.",
    ),
    "contact-kind": (
        both(fields(contact={}), note(audience={"roles": ["contact"]})),
        "types.note.audience", "mails the contact. Add a field `contact` of kind address.",
    ),
    "subject-brace": (
        note(subject="Note {summary"),
        "types.note.subject", "expected '}' before end of string. Write placeholders as {field}.",
    ),
    "subject-close": (
        note(subject="Note }"),
        "types.note.subject", "Single '}' encountered in format string. Write placeholders as {field}.",
    ),
    "subject-format": (
        note(subject="{summary:>9}"),
        "types.note.subject", "{summary:>9} is more than a name. Write placeholders as {field}.",
    ),
    "subject-conversion": (
        note(subject="{summary!r}"),
        "types.note.subject", "{summary!r} is more than a name. Write placeholders as {field}.",
    ),
    "subject-attribute": (
        note(subject="{summary.__class__}"),
        "types.note.subject", "{summary.__class__} is more than a name. Write placeholders as {field}.",
    ),
    "subject-empty": (
        note(subject="{}"),
        "types.note.subject", "{} is more than a name. Write placeholders as {field}.",
    ),
    "subject-unknown": (
        note(subject="{summry}"),
        "types.note.subject", "'summry' is no field of this type. Did you mean summary?",
    ),
    "subject-optional": (
        both(fields(more={}), note(subject="{more}")),
        "types.note.subject", "names 'more', which an event may leave out. Use required fields only.",
    ),
    "choices-missing": (
        fields(more={"kind": "choice"}),
        "types.note.fields.more.choices", "belong to kind choice, and only there. Add choices.",
    ),
    "choices-elsewhere": (
        fields(more={"choices": {"a": "A"}}),
        "types.note.fields.more.choices",
        "belong to kind choice, and only there. Remove choices, or make the kind choice.",
    ),
    "columns-missing": (
        fields(more={"kind": "table"}),
        "types.note.fields.more.columns", "belong to kind table, and only there. Add columns.",
    ),
    "columns-elsewhere": (
        fields(more={"columns": {"a": {"label": "A"}}}),
        "types.note.fields.more.columns",
        "belong to kind table, and only there. Remove columns, or make the kind table.",
    ),
    "items-elsewhere": (
        fields(more={"items": "url"}),
        "types.note.fields.more.items",
        "belong to kind list, and only there. Remove items, or make the kind list.",
    ),
    "no-example": (
        fields(more={"required": True}),
        "types.note.fields.more", "is required and has no example. Add an example.",
    ),
    "bad-example": (
        fields(more={"kind": "url", "example": "x"}),
        "types.note.fields.more.example",
        "'x' is no web address. Give an address that begins with https:// or http://.",
    ),
    "impossible-time": (
        fields(more={"kind": "datetime", "example": "+1d 25:00"}),
        "types.note.fields.more.example",
        f"'+1d 25:00' is no date and time. {MOMENT}.",
    ),
    "endless-example": (
        fields(more={"kind": "date", "example": "+99999999d"}),
        "types.note.fields.more.example", "'+99999999d' is no date. Give a date like 2027-03-06.",
    ),
    "bad-default": (
        fields(more={"kind": "boolean", "default": "yes", "example": True}),
        "types.note.fields.more.default", "'yes' is neither true nor false. Give true or false.",
    ),
    "bad-default-alone": (
        fields(more={"kind": "choice", "choices": {"a": "A"}, "default": "b"}),
        "types.note.fields.more.default", "'b' is none of the choices. Give one of a.",
    ),
    "after-unknown": (
        fields(start=WHEN, end=WHEN | {"after": "stat"}),
        "types.note.fields.end.after", "'stat' is no field of this type. Did you mean start?",
    ),
    "after-kind": (
        fields(end=WHEN | {"after": "summary", "example": "+1d"}),
        "types.note.fields.end.after", "'summary' is of kind text. Name a field of kind datetime.",
    ),
    "after-on-text": (
        fields(more={"after": "summary", "example": "x"}),
        "types.note.fields.more.after", "belongs to kind datetime or date, not to text. Remove it.",
    ),
    "after-itself": (
        fields(end=WHEN | {"after": "end"}),
        "types.note.fields.end.after", "names its own field. Name another field, or remove it.",
    ),
    "expires-unknown": (
        both(fields(end=WHEN), note(expires="edn")),
        "types.note.expires",
        "'edn' is no field of kind datetime or date. Did you mean end?",
    ),
    "expires-kind": (
        both(fields(end=WHEN, day={"kind": "date"}), note(expires="summary")),
        "types.note.expires",
        "'summary' is no field of kind datetime or date. Use one of day, end.",
    ),
    "expires-without-such-a-field": (
        note(expires="2d"),
        "types.note.expires",
        "'2d' is no field of kind datetime or date. Add a field of kind datetime or date.",
    ),
    "expires-behind": (
        both(fields(begun=WHEN | {"example": "-3h"}), note(expires="begun")),
        "types.note.expires",
        f"'begun' is over when the event comes, by its example '-3h'. {AHEAD}.",
    ),
    "expires-yesterday": (
        both(fields(day={"kind": "date", "example": "-1d"}), note(expires="day")),
        "types.note.expires",
        f"'day' is over when the event comes, by its example '-1d'. {AHEAD}.",
    ),
    "calendar-unknown": (
        both(SPAN, note(calendar={"start": "strt", "end": "end"})),
        "types.note.calendar.start",
        "'strt' is no field of this type. Did you mean start?",
    ),
    "calendar-start-kind": (
        both(SPAN, note(calendar={"start": "summary", "end": "span"})),
        "types.note.calendar.start",
        "'summary' is of kind text. Name a field of kind datetime.",
    ),
    "calendar-end-kind": (
        both(SPAN, note(calendar={"start": "start", "end": "summary"})),
        "types.note.calendar.end",
        "'summary' is of kind text. Name a field of kind datetime or duration.",
    ),
    "calendar-end-early": (
        both(SPAN, note(calendar={"start": "start", "end": "other"})),
        "types.note.calendar.end",
        "'other' may come before 'start'. Add `after: start` to the field other.",
    ),
    "calendar-identity-kind": (
        both(SPAN, note(calendar={"start": "start", "end": "end", "identity": "start"})),
        "types.note.calendar.identity",
        "'start' is of kind datetime. Name a field of kind text.",
    ),
    "calendar-cancelled-kind": (
        both(SPAN, note(calendar={"start": "start", "end": "end", "cancelled": "summary"})),
        "types.note.calendar.cancelled",
        "'summary' is of kind text. Name a field of kind boolean.",
    ),
    "calendar-subject-unknown": (
        both(SPAN, note(calendar={"start": "start", "end": "end", "cancelled_subject": "Not {sumary}"})),
        "types.note.calendar.cancelled_subject",
        "'sumary' is no field of this type. Did you mean summary?",
    ),
    "calendar-moved-unknown": (
        both(SPAN, note(calendar={"start": "start", "end": "end", "moved_subject": "Now {sumary}"})),
        "types.note.calendar.moved_subject",
        "'sumary' is no field of this type. Did you mean summary?",
    ),
    "calendar-title-optional": (
        both(SPAN, note(calendar={"start": "start", "end": "end", "title": "Note {span}"})),
        "types.note.calendar.title",
        "names 'span', which an event may leave out. Use required fields only.",
    ),
    "examples-disordered": (
        fields(
            start={"kind": "date", "example": "+2d"},
            end={"kind": "date", "example": "+1d", "after": "start"},
        ),
        "types.note.fields.end.example",
        "2027-01-16 is not after start 2027-01-17. Give a moment after start.",
    ),
    "subject-word": (
        fields(instance={}),
        "types.note.fields.instance",
        "{instance} means something else in every subject. Choose another name.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_found_at_its_place(fault: str) -> None:
    """Each kind of fault is the only one found, at its dotted path, with what to do."""
    change, path, text = BROKEN[fault]
    data = plain_catalogue()
    change(data)

    problems = problems_of(Catalogue.model_validate(data))

    assert [str(problem) for problem in problems] == [f"{path}: {text}"]
    assert problems[0].key == path


def test_all_faults_come_at_once() -> None:
    """One look finds every fault, those of the banners before those of the types."""
    faults = ("sender", "faint", "banner", "subject-unknown", "bad-default", "no-contact")
    data = plain_catalogue()
    both(*(BROKEN[fault][0] for fault in faults))(data)

    assert [problem.where for problem in problems_of(Catalogue.model_validate(data))] == [
        "senders",
        "banners.awareness",
        "types.note.banner",
        "types.note.audience",
        "types.note.subject",
        "types.note.fields.more.default",
    ]


RIGHT: dict[str, Change] = {
    "a subject of words": note(subject="{instance} of {service} {{literally}}"),
    "a subject with a default": both(fields(more={"default": "x"}), note(subject="{more}")),
    "a subject with what mail waits for": both(
        fields(more={}), note(subject="{more}", mail_when={"field": "more", "otherwise": "later"})
    ),
    "nobody without a banner": note(banner=None, audience={"nobody": "because"}),
    "nobody with a banner": note(audience={"nobody": "because"}),
    "a contact": both(
        fields(contact={"kind": "address", "example": "a@example.com"}),
        note(audience={"roles": ["contact"]}),
    ),
    "an example that is false": fields(more={"kind": "boolean", "required": True, "example": False}),
    "an example of today": fields(more={"kind": "datetime", "example": "+0d 21:00"}),
    "a text that looks like a moment": fields(more={"example": "+1d 25:00"}),
    "an end that is optional and has no example": both(fields(end=WHEN), note(expires="end")),
    "an end today": both(fields(day={"kind": "date", "example": "+0d"}), note(expires="day")),
    "an end in a year that was": both(
        fields(end=WHEN | {"example": "2020-01-01T00:00Z"}), note(expires="end")
    ),
    "a default of no example": fields(more={"kind": "duration", "default": "PT12H"}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_fits_together_is_let_be(name: str) -> None:
    """What only looks unusual is no fault."""
    data = plain_catalogue()
    RIGHT[name](data)

    assert problems_of(Catalogue.model_validate(data)) == []
