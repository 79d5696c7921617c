from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dispatcher.domain import fields
from dispatcher.domain.instance import Instance
from dispatcher.domain.language import LANGUAGES
from dispatcher.domain.window import Entry, Window, window_of
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.mail.environment import context_for, html_environment, text_environment
from dispatcher.mail.inline import inline
from dispatcher.mail.renderer import Renderer
from dispatcher.mail.subject import SUBJECT_LENGTH, subject
from dispatcher.mail.translations import Translations
from dispatcher.mail.view import View
from dispatcher.mail.wrap import COLUMNS, width

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "templates"
NOW = datetime(2027, 2, 20, 9, tzinfo=UTC)
CATALOGUE = load_catalogue(ROOT / "catalogue.yaml", templates=TEMPLATES)
TYPES = [key for key, spec in CATALOGUE.types.items() if spec.banner]
UPDATE_DATES = [key for key, spec in CATALOGUE.types.items() if spec.template == "update-date"]
HTML, TEXT = html_environment(TEMPLATES), text_environment(TEMPLATES)
TRANSLATIONS = Translations(ROOT)
RENDERER = Renderer(TEMPLATES, TRANSLATIONS)
CONTOSO = {"instance": "contoso", "name": "Contoso Production", "admins": ["a@contoso.example"]}
# What names a recipient in the reader's own mail program must not be guessed: zero-width and bidi controls.
INVISIBLE = re.compile("[\u034f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


def view_of(
    key: str,
    *,
    language: str = "en",
    roles: tuple[str, ...] = ("admins",),
    instances: tuple[dict[str, Any], ...] = (CONTOSO,),
    **given: Any,
) -> View:
    """The type with its examples; `given` replaces some, None takes one away."""
    spec = CATALOGUE.types[key]
    event = {**fields.sample(spec, NOW), **given}
    values, problems = fields.parse_fields(spec, {k: v for k, v in event.items() if v is not None})
    assert not problems
    return View(
        key,
        spec,
        CATALOGUE.banners[spec.banner or "maintenance"],
        CATALOGUE.service,
        CATALOGUE.senders["default"],
        tuple(Instance.model_validate(instance) for instance in instances),
        fields.said_fields(spec, values, spec.language_for(language)),
        language,
        "Asia/Tokyo" if language == "ja" else "Europe/Berlin",
        roles,
        NOW,
    )


def bodies(view: View) -> tuple[str, str]:
    context = context_for(
        view, TRANSLATIONS, recipient="kim@contoso.example", unsubscribe="https://n.example/u"
    )
    html, text = (
        environment.get_template(f"{view.type.template}.{kind}.j2").render(context)
        for environment, kind in ((HTML, "html"), (TEXT, "txt"))
    )
    return html, text


@cache
def sample(key: str, language: str = "en") -> tuple[str, str]:
    return bodies(view_of(key, language=language))


class Outline(HTMLParser):
    """Which elements a document has, what it reads, and whether every element is closed."""

    VOID = frozenset({"meta", "br", "img", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.count: dict[str, int] = {}
        self.words: list[str] = []
        self.open: list[str] = []
        self.hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "title"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", TYPES)
def test_every_type_renders_in_every_language(key: str, language: str) -> None:
    """Both bodies and the subject come out whole, readable and within their limits."""
    html, text = sample(key, language)
    line = subject(view_of(key, language=language), TRANSLATIONS)

    assert 0 < len(line) <= SUBJECT_LENGTH
    assert "None" not in html + text + line
    assert not INVISIBLE.search(text + line)
    assert all(width(row) <= COLUMNS or "://" in row for row in text.splitlines())


@pytest.mark.parametrize("key", TYPES)
def test_the_page_has_one_heading_one_banner_and_at_most_one_button(key: str) -> None:
    """The outline is that of email-quality: one h1, one banner, one button, every element closed."""
    html, _ = sample(key)
    outline = Outline(html)

    assert outline.open == []
    assert outline.count["h1"] == 1
    assert html.count('class="banner"') == 1
    assert html.count('class="button"') <= 1
    assert html.count('role="article"') == 1
    assert "img" not in outline.count


@pytest.mark.parametrize("key", TYPES)
def test_type_instance_and_service_are_read_in_this_order(key: str) -> None:
    """Both bodies say the type, then the instance, the heading, and last the service; none of it before."""
    html, text = sample(key)
    heading = " ".join(Outline(re.findall(r"<h1>.*?</h1>", html, re.DOTALL)[0]).words).strip()
    words = [CATALOGUE.types[key].title, "Contoso Production", heading, CATALOGUE.service.name]

    for body in (Outline(html).text, " ".join(text.split())):
        places = [body.index(word) for word in words]
        assert places == sorted(places)
    assert text.startswith(f"{words[0]}: {words[1]}\n")


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("planned-maintenance", "start"),
        ("unplanned-maintenance", "start"),
        *((key, "scheduled_at") for key in (*UPDATE_DATES, "update-compatibility")),
        ("service-incident", "resolved_at"),
        ("service-restored", "restored_at"),
        ("general-awareness", "act_by"),
        ("launch-readiness", "release_date"),
        ("support-case-closing", "closes_at"),
    ],
)
def test_when_is_read_directly_after_the_heading(key: str, field: str) -> None:
    """The date that matters follows the heading, before any other text, in both bodies."""
    moment = view_of(key).fields[field]
    day = f"{moment.astimezone(ZoneInfo('Europe/Berlin')) if isinstance(moment, datetime) else moment:%A}"
    html, text = sample(key)

    assert day in Outline(html).text.split("Contoso Production", 1)[1][:220]
    assert day in "".join(text.splitlines()[4:6])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", TYPES)
def test_the_preheader_is_a_short_sentence(key: str, language: str) -> None:
    """The line that a list of mails shows is whole, and has at most 90 characters."""
    html, _ = sample(key, language)
    found = re.search(r'<div class="preheader">(.*?)</div>', html, re.DOTALL)
    assert found
    words = Outline(found[0]).text

    assert 0 < len(words) <= 90
    assert not words.endswith("…")


PREHEADERS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("planned-maintenance", {}, "You may be signed out once."),
    ("planned-maintenance", {"impact": None}, "The maintenance window is 4 hours long."),
    ("planned-maintenance", {"impact": "No " * 40 + "end."}, "The maintenance window is 4 hours long."),
    ("planned-maintenance", {"cancelled": True}, "The work will not take place."),
    (
        "support-case-received",
        {},
        "A support engineer will start work on your case in less than 4 hours.",
    ),
    ("support-case-received", {"plan": None}, "This mail says when to expect our first response."),
    ("support-case-resolved", {}, "A number series had run out."),
)


@pytest.mark.parametrize(("key", "given", "words"), PREHEADERS)
def test_the_preheader_says_what_concerns_the_reader(key: str, given: dict[str, Any], words: str) -> None:
    """It is upstream's own first sentence where that is short enough, and never a piece of one."""
    html, _ = bodies(view_of(key, **given))
    found = re.search(r'<div class="preheader">(.*?)</div>', html, re.DOTALL)

    assert found
    assert Outline(found[0]).text == words


SERIES = [
    (cadence, name)
    for cadence, spec in CATALOGUE.cadences.items()
    for name, step in spec.steps.items()
    if step.fields
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("cadence", "name"), SERIES)
def test_what_a_series_says_is_in_every_language(cadence: str, name: str, language: str) -> None:
    """Every text of a step is the reader's own language, and its preheader is a short sentence."""
    step = CATALOGUE.cadences[cadence].steps[name]
    view = view_of(str(step.type), language=language, **step.fields)
    content = RENDERER.render(view)
    found = re.search(r'<div class="preheader"[^>]*>(.*?)</div>', content.html, re.DOTALL)

    for key in step.fields:
        said = view.fields[key]
        for one in said if isinstance(said, tuple) else (said,):
            assert one.language == language
    assert found
    assert 0 < len(Outline(found[0]).text) <= 90
    assert not Outline(found[0]).text.endswith("…")


@pytest.mark.parametrize("key", TYPES)
def test_the_inlined_page_is_small(key: str) -> None:
    """A mail has at most 30,000 bytes of HTML and 8,000 of styles, in the longest font stack too."""
    html = inline(sample(key, "zh-Hans")[0], "templates")
    styles = re.findall(r"<style.*?</style>", html, re.DOTALL)

    assert len(html.encode()) <= 30_000
    assert sum(len(style.encode()) for style in styles) <= 8_000
    assert 'bgcolor="#FFFFFF"' in html


@pytest.mark.parametrize("key", TYPES)
def test_only_required_fields_are_needed(key: str) -> None:
    """An event that gives no optional field leaves no empty row, link or heading behind."""
    spec = CATALOGUE.types[key]
    given: dict[str, Any] = {name: None for name, field in spec.fields.items() if not field.required}
    html, text = bodies(view_of(key, **given))

    assert "None" not in html + text
    assert not re.search(r"<td[^>]*></td>|<p[^>]*></p>|<h2></h2>|href=\"\"", html)
    assert not re.search(r":\n\n", text)
    for name in given:
        # A field with a default is always there.
        if (field := spec.fields[name]).default is None:
            assert f"<h2>{field.label}</h2>" not in html
            assert f">{field.label}</th>" not in html
            assert field.label not in text.splitlines()


@pytest.mark.parametrize("key", TYPES)
def test_every_field_is_shown_in_both_bodies(key: str) -> None:
    """No fact of an event is lost on the way to its readers, in either body."""
    spec, given = CATALOGUE.types[key], fields.sample(CATALOGUE.types[key], NOW)
    shown = {"text", "paragraphs", "url", "address"}
    html, text = sample(key)
    page, lines = Outline(html), " ".join(text.split())

    for name, field in spec.fields.items():
        # `update` is an id for machines.
        if field.kind in shown and name in given and name != "update":
            said = given[name]["en"] if isinstance(given[name], dict) else given[name]
            first = " ".join(said.split("\n\n")[0].split())
            assert first in (html if field.kind == "url" else page.text), name
            assert first in lines, name


def test_event_data_cannot_become_markup() -> None:
    """Markup in any text of an event is shown as it was written."""
    evil = '"><script>alert(1)</script>{{ 7*7 }}%s'
    html, text = bodies(view_of("planned-maintenance", summary=evil, impact=evil, action=evil, details=evil))

    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 5  # the preheader says what will be noticed, too
    assert text.count(evil) == 4


def test_a_window_is_in_the_readers_time_with_utc_beside_it() -> None:
    """The reader's own window comes first, with the days left and the same in UTC."""
    html, text = sample("planned-maintenance")

    assert "Saturday, 6 March 2027, 22:00–02:00 CET" in Outline(html).text
    assert "In 14 days · 21:00–01:00 UTC, 6 March" in Outline(html).text
    assert text.splitlines()[4:7] == [
        "When: Saturday, 6 March 2027, 22:00–02:00 CET (in 14 days)",
        "  21:00–01:00 UTC, 6 March",
        "Duration: 4 hours",
    ]


def test_what_upstream_said_in_another_language_is_marked() -> None:
    """In a German mail what upstream said in English is marked, and what it said in German is not."""
    given: dict[str, Any] = {"summary": "Storage moves", "impact": "You may be signed out.", "details": None}
    action = {"en": "Save.", "de": "Speichern."}
    html, _ = bodies(view_of("planned-maintenance", language="de", action=action, **given))

    assert '<html lang="de"' in html
    assert '<h1><span lang="en">Storage moves</span></h1>' in html
    assert '<p class="text" lang="en">You may be signed out.' in html
    assert '<p class="text">Speichern.</p>' in html
    assert html.count('lang="de"') == 2
    assert sample("planned-maintenance")[0].count("lang=") == 2


HEADINGS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("update-scheduled", {}, "Approve the date of version 10.0, or choose another"),
    ("update-scheduled", {"mandatory": True}, "Version 10.0 will be installed without approval"),
    ("update-reminder", {"approved": False}, "Version 10.0 still needs your approval"),
    ("update-reminder", {"approved": True}, "Version 10.0 will be installed in 15 days"),
    (
        "update-reminder",
        {"approved": True, "scheduled_at": "2027-02-21T21:00Z"},
        "Version 10.0 will be installed tomorrow",
    ),
    (
        "update-reminder",
        {"approved": True, "scheduled_at": "2027-02-20T21:00Z"},
        "Version 10.0 will be installed today",
    ),
    (
        "update-reminder",
        {"approved": False, "mandatory": True},
        "Version 10.0 will be installed without approval",
    ),
    ("update-confirmed", {}, "The date of version 10.0 is confirmed"),
    ("update-fallback", {}, "Version 10.0 moves to the alternate date"),
    ("update-rescheduled", {}, "Version 10.0 has a new date"),
    ("update-rescheduled", {"version": None}, "The update has a new date"),
    ("update-compatibility", {}, "Fix 2 problems before version 10.0"),
    ("update-cancelled", {}, "Version 10.0 will not be installed"),
    ("update-in-progress", {}, "Version 10.0 is being installed"),
    ("update-in-progress", {"stage": "queued"}, "Version 10.0 is about to be installed"),
    ("update-succeeded", {}, "Version 10.0 is installed"),
    ("planned-maintenance", {"cancelled": True}, "The planned maintenance is cancelled"),
    ("unplanned-maintenance", {"cancelled": True}, "The unplanned maintenance is cancelled"),
    ("service-incident", {}, "Incident INC-20417 is resolved"),
    ("major-service-incident", {}, "Sign-in fails for many users"),
    ("major-service-incident", {"status": "resolved"}, "Incident INC-20418 is resolved"),
    ("service-restored", {}, "The service is back to normal"),
    ("launch-readiness", {"release_date": "2027-02-19"}, "Release wave 1 of 2027 is here"),
    ("support-case-closing", {}, "Case CASE-118204 is about to be closed"),
)


@pytest.mark.parametrize(("key", "given", "heading"), HEADINGS)
def test_the_heading_says_what_happens(key: str, given: dict[str, Any], heading: str) -> None:
    """Types that share a template each have a heading of their own, the same in both bodies."""
    html, text = bodies(view_of(key, **given))

    assert re.search(rf"<h1>\s*{re.escape(heading)}\s*</h1>", html)
    assert text.splitlines()[2] == heading


@pytest.mark.parametrize("key", UPDATE_DATES)
def test_every_update_mail_says_how_long_it_takes(key: str) -> None:
    """The 12-hour window, the usual 2 to 4 hours and the outage are in every mail about a date."""
    for body in bodies(view_of(key)):
        said = " ".join(body.split())
        assert "12 hours" in said
        assert "usually takes 2 to 4 hours" in said
        assert "may be unavailable" in said
        assert "until the update starts" in said


def test_a_mandatory_update_is_not_to_be_approved() -> None:
    """Two versions behind: the mail says so, says it needs no approval, and asks for none."""
    _, text = bodies(view_of("update-scheduled", mandatory=True))
    said = " ".join(text.split())

    assert "is two versions behind, so this update is mandatory and needs no approval" in said
    assert "Nothing is installed before" not in said
    assert "Choose another date" in said


#: What the event says, who reads it; heading, preheader, what to do, the words of the button.
DECISIONS: tuple[tuple[str, dict[str, Any], str, str, str, str, str], ...] = (
    (
        "update-scheduled",
        {},
        "admins",
        "Approve the date of version 10.0, or choose another",
        "Nothing is installed before an admin approves the date.",
        "Approve this date, or choose another.",
        "Approve or reschedule",
    ),
    (
        "update-reminder",
        {"approved": False},
        "global_admins",
        "Version 10.0 still needs your approval",
        "Nothing is installed before an admin approves the date.",
        "Approve this date, or choose another.",
        "Approve or reschedule",
    ),
    (
        "update-reminder",
        {"approved": False},
        "partners",
        "The date of version 10.0 awaits approval",
        "Nothing is installed before an admin approves the date.",
        "An admin of Contoso Production approves this date, or chooses another until the update starts.",
        "",
    ),
    (
        "update-reminder",
        {"approved": True},
        "recipients",
        "Version 10.0 will be installed in 15 days",
        "An admin can choose another date until the update starts.",
        "An admin of Contoso Production approved this date, and can choose another",
        "",
    ),
    (
        "update-reminder",
        {"approved": True},
        "admins",
        "Version 10.0 will be installed in 15 days",
        "An admin approved the date, but you can still choose another.",
        "An admin approved this date, so you do not need to do anything else.",
        "Choose another date",
    ),
    (
        "update-scheduled",
        {"mandatory": True},
        "partners",
        "Version 10.0 will be installed without approval",
        "An admin can choose another date until the update starts.",
        "is two versions behind, so this update is mandatory and needs no approval. An admin can",
        "",
    ),
    (
        "update-rescheduled",
        {"rescheduled_by": "vendor", "approved": False},
        "admins",
        "Version 10.0 has a new date",
        "Nothing is installed before an admin approves the date.",
        "Approve this date, or choose another.",
        "Approve or reschedule",
    ),
    (
        "update-rescheduled",
        {},
        "recipients",
        "Version 10.0 has a new date",
        "An admin can choose another date until the update starts.",
        "You do not need to do anything. An admin of Contoso Production can choose another date",
        "",
    ),
    (
        "update-fallback",
        {"approved": False, "offered_dates": ["2027-02-26T21:00Z", "2027-03-05T21:00Z"]},
        "admins",
        "Version 10.0 moves to the alternate date",
        "Nothing is installed before an admin approves the date.",
        "Approve this date, or choose another.",
        "Approve or reschedule",
    ),
    (
        "update-fallback",
        {"approved": None, "offered_dates": ["2027-02-26T21:00Z", "2027-03-05T21:00Z"]},
        "admins",
        "Version 10.0 moves to the alternate date",
        "You can choose another date until the update starts.",
        "If the new date suits you, you do not need to do anything.",
        "Choose another date",
    ),
)


@pytest.mark.parametrize(("key", "given", "role", "heading", "preheader", "task", "button"), DECISIONS)
def test_an_update_asks_those_who_decide_and_tells_the_others_who_does(
    key: str, given: dict[str, Any], role: str, heading: str, preheader: str, task: str, button: str
) -> None:
    """Only admins are asked and have a button and dates to choose; the state decides what they are asked."""
    content = RENDERER.render(view_of(key, roles=(role,), **given))
    html, text = content.html, content.text
    found = re.search(r'<div class="preheader"[^>]*>(.*?)</div>', html, re.DOTALL)
    decide = "https://admin.fabrikam.example/updates/update-2027-1"

    assert found
    assert Outline(found[0]).text == preheader
    assert re.search(rf"<h1[^>]*>\s*{re.escape(heading)}\s*</h1>", html)
    assert text.splitlines()[2] == heading
    for body in (Outline(html).text, " ".join(text.split())):
        assert task in body
        assert ("You do not need to do anything." in body) == (role not in {"admins", "global_admins"})
        assert ("Dates you can choose" in body) == bool(button)
    assert (f'href="{decide}"' in html, decide in text) == (bool(button), bool(button))
    assert button in Outline(html).text
    assert not button or f"{button}\n{decide}" in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("role", ["admins", "recipients", "partners"])
@pytest.mark.parametrize("given", [{"approved": False}, {"approved": True}, {"mandatory": True}])
@pytest.mark.parametrize("key", ["update-scheduled", "update-reminder", "update-fallback"])
def test_every_state_of_an_update_is_worded_in_every_language(
    key: str, given: dict[str, Any], role: str, language: str
) -> None:
    """No reader gets an English sentence, a preheader is short, and only admins have a button to decide."""
    given = {"cause": None} | given  # upstream's own words
    given = {name: value for name, value in given.items() if name in CATALOGUE.types[key].fields}
    html, text = bodies(view_of(key, language=language, roles=(role,), **given))
    found = re.search(r'<div class="preheader">(.*?)</div>', html, re.DOTALL)

    assert found
    assert 0 < len(Outline(found[0]).text) <= 90
    assert ("admin.fabrikam.example" in html) == (role == "admins")
    assert language == "en" or not re.search(r"\b(the|until|chooses?|admin of)\b", Outline(html).text + text)


def test_a_link_of_the_readers_own_is_the_button_where_the_event_has_none() -> None:
    """The button leads where the event says, else where this reader decides; without either there is none."""
    own = "https://notices.example/decide/t0ken"
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"decide_url": None}, own),
        ({}, "https://admin.fabrikam.example/updates/update-2027-1"),
    )
    for given, wanted in cases:
        for role in ("admins", "partners"):
            view = view_of("update-scheduled", roles=(role,), **given)
            context = context_for(view, TRANSLATIONS, recipient="kim@contoso.example", decide=own)
            for environment, kind in ((HTML, "html"), (TEXT, "txt")):
                body = environment.get_template(f"update-date.{kind}.j2").render(context)
                assert (wanted in body) == (role == "admins")
    assert "Approve or reschedule" not in "".join(bodies(view_of("update-scheduled", decide_url=None)))


def test_dates_that_have_passed_cannot_be_chosen() -> None:
    """Of the dates on offer a mail lists those that are still to come."""
    offered = ["2027-02-19T21:00Z", "2027-03-06T21:00Z"]

    for body in bodies(view_of("update-reminder", offered_dates=offered)):
        assert "6 March 2027" in body
        assert "19 February 2027" not in body


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", [key for key in TYPES if key.startswith("update-")])
def test_an_update_without_a_known_version_has_heading_and_subject(key: str, language: str) -> None:
    """A plan that began with another date may not know the version yet: its mails still read well."""
    view = view_of(key, language=language)
    view = replace(view, fields={**view.fields, "version": None})
    html, text = bodies(view)
    line = subject(view, TRANSLATIONS)

    assert "None" not in html + text + line
    assert "10.0" not in line
    assert "Contoso Production" in line
    assert re.search(r"<h1>\s*\S", html)
    assert text.splitlines()[2].strip()


def test_a_cancelled_update_is_called_off_and_asks_for_nothing() -> None:
    """The date is struck through, and the reader learns that it will not take place and why."""
    html, text = sample("update-cancelled")

    assert html.count("The update will not take place.") == 2
    assert '<s>Monday, 22 March 2027, <span class="hours">22:00–10:00&nbsp;CET</span></s>' in html
    assert text.splitlines()[4:7] == [
        "The update will not take place.",
        "",
        "Was planned for: Monday, 22 March 2027, 22:00–10:00 CET",
    ]
    for body in (html, text):
        assert "You do not need to do anything: Contoso Production keeps its current version." in " ".join(
            body.split()
        )
        assert "A fault was found in version 10.0." in body


def test_a_moved_update_shows_both_dates_and_voids_reminders() -> None:
    """A rescheduled update shows the old date before the new one and says what became of reminders."""
    html, text = sample("update-rescheduled")

    assert html.index("Wednesday, 26 May 2027") < html.index("Wednesday, 2 June 2027")
    assert '<s>Wednesday, 26 May 2027, <span class="hours">23:00&nbsp;CEST</span></s>' in html
    assert "Ignore reminders of the previous date." in text
    assert text.index("Previous date: Wednesday, 26") < text.index("New date: Wednesday, 2 June")


def test_an_update_whose_date_stays_claims_no_new_one() -> None:
    """Where a reschedule moved the alternate date alone, the mail says that, and nothing of a new date."""
    same: dict[str, Any] = {
        "previous_at": "2027-06-02T21:00Z",
        "scheduled_at": "2027-06-02T21:00Z",
        "rescheduled_by": "admin",
    }
    for alternate, sentence in (
        ("2027-06-09T21:00Z", "The date stays. Only the alternate date has changed."),
        (None, "The date stays. There is no alternate date any more."),
    ):
        html, text = bodies(view_of("update-rescheduled", **same, alternate_at=alternate))
        for body in (html, text):
            assert "The date of version 10.0 is confirmed" in body
            assert sentence in body
            assert "new date" not in body.lower()
            assert "previous date" not in body.lower()
            assert "An admin approved this date" in " ".join(body.split())


def test_what_follows_a_list_of_dates_stands_apart() -> None:
    """In the plain text a blank line ends the list, so that the next line is none of the dates."""
    _, text = sample("update-rescheduled")
    lines = text.splitlines()
    after = next(number for number, line in enumerate(lines) if line.startswith("Rescheduled by: "))

    assert lines[after - 1] == ""
    assert lines[after - 2].startswith("  - ")


def test_cancelled_work_is_called_off_and_asks_for_nothing() -> None:
    """The heading, the preheader and the panel say that the work is off; the old window is struck through."""
    html, text = bodies(view_of("planned-maintenance", cancelled=True))

    assert html.count("The work will not take place.") == 2
    assert '<s>Saturday, 6 March 2027, <span class="hours">22:00–02:00&nbsp;CET</span></s>' in html
    assert text.splitlines()[4:7] == [
        "The work will not take place.",
        "",
        "Was planned for: Saturday, 6 March 2027, 22:00–02:00 CET",
    ]
    for body in (html, text):
        assert "Storage of the database servers is replaced" in body
        assert "What to do" not in body
        assert "What you will notice" not in body
        assert "Details" not in body
        assert "Follow the work" not in body
        assert "in 14 days" not in body.lower()


def test_moved_work_shows_both_windows() -> None:
    """What the reader knew is struck through, what holds now follows it, and a sentence says so."""
    before = datetime(2027, 3, 4, 21, tzinfo=UTC)
    known = Window(before, before + timedelta(hours=2))
    html, text = bodies(replace(view_of("planned-maintenance"), moved_from=known))

    assert '<s>Thursday, 4 March 2027, <span class="hours">22:00–00:00&nbsp;CET</span></s>' in html
    assert html.index("Thursday, 4 March") < html.index("Saturday, 6 March")
    assert html.count("The maintenance window has changed; the previous one no longer applies.") == 2
    assert text.splitlines()[4:8] == [
        "Previous date: Thursday, 4 March 2027, 22:00–00:00 CET",
        "New date: Saturday, 6 March 2027, 22:00–02:00 CET (in 14 days)",
        "  21:00–01:00 UTC, 6 March",
        "Duration: 4 hours",
    ]


@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize("attached", [False, True])
def test_an_attached_calendar_file_is_named(attached: bool, cancelled: bool) -> None:
    """A mail with a file for calendars says so in one line, and what it does when the work is off."""
    view = view_of("planned-maintenance", cancelled=cancelled)
    window = window_of(view.type, view.fields)
    assert window
    entry = Entry("u@fabrikam.example", 0, window, NOW, view.sender) if attached else None
    said = {False: "A calendar file is attached.", True: "removes the work from your calendar."}

    for body in bodies(replace(view, entry=entry)):
        assert (said[cancelled] in body) == attached
        assert said[not cancelled] not in body


def test_an_incident_tells_its_newest_update_first() -> None:
    """The timeline goes backwards, and the next update is announced while the incident is open."""
    html, text = sample("major-service-incident")

    for body in (html, text):
        assert body.index("The failures began") < body.index("We see sign-in failing")
        assert "Next update by" in body


def test_the_last_mail_of_an_incident_says_so() -> None:
    """A resolved incident promises no further update."""
    view = view_of("major-service-incident", status="resolved", resolved_at="2027-02-20T08:50Z")

    for body in bodies(view):
        assert "Service is restored, and this is the final update on this incident." in body
        assert "What you noticed" in body
        assert "What you will notice" not in body
        assert "Next update by" not in body
    assert bodies(view)[1].count("Resolved") == 1


def test_a_report_is_english_and_names_the_credit() -> None:
    """The PIR is wholly in English and says so, and that a breach may be claimed."""
    html, text = sample("post-incident-report", "ja")

    assert '<html lang="en"' in html
    assert "Tuesday, 16 February 2027" in text
    assert "published in English only" in text
    assert "breached your service agreement, you can claim a billing credit" in " ".join(text.split())


RESPONSES = (
    ("A", "standard", None, "in less than 1 hour."),
    ("A", "standard", None, "The response time counts around the clock, every day."),
    ("B", "standard", None, "in less than 4 hours."),
    (
        "B",
        "standard",
        None,
        "The response time counts in business hours, or around the clock if you chose that.",
    ),
    ("B", "unified", None, "in less than 2 hours."),
    ("B", "unified", "americas", "from 06:00 to 18:00 Pacific time"),
    ("C", "standard", "japan", "in less than 8 hours."),
    ("C", "prodirect", "japan", "in less than 4 hours."),
    ("C", None, "japan", "The response time counts in business hours only. Business hours are weekdays"),
    ("C", None, "japan", "from 09:00 to 17:30 in Japan"),
)


@pytest.mark.parametrize(("severity", "plan", "region", "words"), RESPONSES)
def test_a_support_case_tells_its_response_time(
    severity: str, plan: str | None, region: str | None, words: str
) -> None:
    """Severity and plan decide the response time, the region its business hours (policy, section 4)."""
    place = {**CONTOSO, "region": region}
    html, text = bodies(view_of("support-case-received", instances=(place,), severity=severity, plan=plan))

    assert words in Outline(html).text
    assert words in " ".join(text.split())


def test_a_sandbox_is_marked() -> None:
    """A sandbox is called so under the banner, and its update mail says that it comes first."""
    place = {**CONTOSO, "kind": "sandbox"}
    html, text = bodies(view_of("update-scheduled", instances=(place,)))

    assert "Contoso Production Sandbox" in Outline(html).text
    assert text.splitlines()[0].endswith("Contoso Production (sandbox)")
    assert "updated before its production instance" in text


def test_tasks_are_not_to_be_done_first_once_a_release_is_here() -> None:
    """The list of tasks has a name that is right before and after the release."""
    for body in (
        *sample("launch-readiness"),
        *bodies(view_of("launch-readiness", release_date="2027-02-19")),
    ):
        assert "To do" in body
        assert "first" not in body.split("To do", 1)[1][:20]


def test_a_grouped_mail_lists_its_instances_up_to_a_limit() -> None:
    """Many instances are counted in the head and listed below, at most thirty of them."""
    places = tuple({**CONTOSO, "instance": f"i-{n}", "name": f"Plant {n}"} for n in range(1, 41))
    html, text = bodies(view_of("planned-maintenance", instances=places))

    assert text.splitlines()[0] == "Planned maintenance: Plant 1 and 39 more"
    assert ("Plant 30" in text, "Plant 31" in text) == (True, False)
    assert "and 10 more" in Outline(html).text


def test_what_is_not_listed_is_counted_in_the_readers_grammar() -> None:
    """One instance more than are listed is told in the singular."""
    places = tuple({**CONTOSO, "instance": f"i-{n}", "name": f"Plant {n}"} for n in range(1, 33))

    for count, words in ((31, "et 1 autre<"), (32, "et 2 autres<")):
        html, _ = bodies(view_of("planned-maintenance", language="fr", instances=places[:count]))
        assert words in html


REASONS = (
    ("admins", "You are a system admin of Contoso Production"),
    ("global_admins", "You are a global admin of the organisation that runs Contoso Production"),
    ("recipients", "You are on the notification list of Contoso Production"),
    ("users", "You are a user of Contoso Production"),
    ("partners", "You are a partner of record of Contoso Production"),
    ("contact", "You are the contact of this support case"),
    ("thread", "You were told of this incident before"),
)


@pytest.mark.parametrize(("role", "words"), REASONS)
def test_the_foot_says_why_and_to_whom(role: str, words: str) -> None:
    """Every role has words for it, beside the reader's own address."""
    html, text = bodies(view_of("update-succeeded", roles=(role,)))

    assert f"{words}." in Outline(html).text
    assert f"{words}." in " ".join(text.split())
    assert "kim@contoso.example" in html
    assert "kim@contoso.example" in text


@pytest.mark.parametrize("key", TYPES)
def test_optional_mail_can_be_stopped_and_other_mail_cannot(key: str) -> None:
    """Only optional types say why they are and link to the choice, in both bodies."""
    optional = CATALOGUE.types[key].optional

    for body in sample(key):
        assert ("https://n.example/u" in body) == optional
        assert ("This mail is optional, because it announces no interruption" in body) == optional
        assert ("Choose which mails you get" in body) == optional


def test_what_is_over_is_in_utc_too() -> None:
    """The moment at which service came back stands in local time, in UTC, and with how long it took."""
    html, text = sample("service-restored")
    words = "Saturday, 20 February 2027, 09:45 CET 08:45 UTC, 20 February Duration: 1 hour 45 minutes"

    for body in (Outline(html).text, " ".join(text.split())):
        assert words in body


@pytest.mark.parametrize("file", sorted(TEMPLATES.glob("*.j2")), ids=lambda file: file.name)
def test_colours_stand_in_one_file(file: Path) -> None:
    """A colour is a token's or the banner's, so that one file decides how mails look."""
    if file.name != "tokens.j2":
        assert not re.search("#[0-9A-Fa-f]{3,8}\\b", file.read_text(encoding="utf-8"))


def test_the_template_of_the_docs_renders(tmp_path: Path) -> None:
    """What docs/templates.md shows a newcomer is a whole template."""
    folder = shutil.copytree(TEMPLATES, tmp_path / "templates")
    shown = (ROOT / "docs/templates.md").read_text(encoding="utf-8")
    blocks = re.findall(r"`templates/(notice\.\w+\.j2)`.*?```jinja\n(.*?)```", shown, re.DOTALL)
    assert [name for name, _ in blocks] == ["notice.html.j2", "notice.txt.j2"]
    for name, source in blocks:
        (folder / name).write_text(source, encoding="utf-8")
    work, note = view_of("planned-maintenance").fields, view_of("general-awareness")
    view = replace(note, fields={**note.fields, "start": work["start"], "end": work["end"]})
    context = context_for(view, TRANSLATIONS, recipient="kim@contoso.example")

    html = html_environment(folder).get_template("notice.html.j2").render(context)
    text = text_environment(folder).get_template("notice.txt.j2").render(context)
    for body in (Outline(html).text, " ".join(text.split())):
        assert "Multi-factor sign-in becomes the default When" in body
        assert "Saturday, 6 March 2027, 22:00–02:00 CET" in body
        assert "What to do Tell your users" in body


def test_a_table_stands_under_its_labels_in_both_bodies(tmp_path: Path) -> None:
    """A row is named by its first column; what else it says stands under the labels of its columns."""
    folder = shutil.copytree(TEMPLATES, tmp_path / "templates")
    for kind in ("html", "txt"):
        source = (
            f'{{% extends "base.{kind}.j2" %}}{{% block content %}}{{{{ c.table(name) }}}}{{% endblock %}}'
        )
        (folder / f"rows.{kind}.j2").write_text(source, encoding="utf-8")

    def rendered(key: str, name: str) -> tuple[str, str]:
        context = context_for(view_of(key), TRANSLATIONS, recipient="kim@contoso.example")
        html = html_environment(folder).get_template("rows.html.j2").render(context, name=name)
        return html, text_environment(folder).get_template("rows.txt.j2").render(context, name=name)

    html, text = rendered("update-compatibility", "findings")
    for body in (Outline(html).text, " ".join(text.split())):
        assert "Report 50104 Problem: Sorts by a column that was renamed What to do: Choose" in body
    html, text = rendered("major-service-incident", "updates")
    for body in (Outline(html).text, " ".join(text.split())):
        assert "20 Feb 2027, 09:25 CET Update: We see sign-in failing" in body
    html, text = rendered("post-purchase", "resources")
    assert 'href="https://docs.fabrikam.example/invite"' in html
    assert "Link: https://docs.fabrikam.example/invite" in text


def test_every_field_a_template_names_is_one_of_its_types() -> None:
    """A template asks for no field that none of its types has: `fields.get` would hide a misspelling."""
    known: dict[str, set[str]] = {}
    for spec in CATALOGUE.types.values():
        known.setdefault(spec.template, set()).update(spec.fields)
    asked = re.compile(r"""fields\.get\(["'](\w+)|(?:fact|section|list|label|shown|timeline)\("(\w+)""")

    for template, names in known.items():
        for kind in ("html", "txt"):
            source = (TEMPLATES / f"{template}.{kind}.j2").read_text(encoding="utf-8")
            assert {first or second for first, second in asked.findall(source)} <= names, template


def test_the_countdown_is_measured_from_the_render() -> None:
    """The same event rendered a week later is a week closer."""
    view = view_of("planned-maintenance")
    later = replace(view, now=NOW + timedelta(7))

    assert "(in 14 days)" in bodies(view)[1]
    assert "In 7 days" in bodies(later)[0]
    assert "(in 7 days)" in bodies(later)[1]
