from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from dispatcher.domain import fields
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.instance import Instance
from dispatcher.domain.language import LANGUAGES
from dispatcher.mail.environment import context_for, html_environment, text_environment
from dispatcher.mail.inline import inline
from dispatcher.mail.locale import Translations
from dispatcher.mail.subject import SUBJECT_LENGTH, subject
from dispatcher.mail.view import View
from dispatcher.mail.wrap import COLUMNS, width

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "templates"
NOW = datetime(2027, 2, 20, 9, tzinfo=UTC)
CATALOGUE = Catalogue.model_validate(yaml.safe_load((ROOT / "catalogue.yaml").read_text(encoding="utf-8")))
TYPES = [key for key, spec in CATALOGUE.types.items() if spec.banner]
UPDATE_DATES = [key for key, spec in CATALOGUE.types.items() if spec.template == "update-date"]
HTML, TEXT = html_environment(TEMPLATES), text_environment(TEMPLATES)
TRANSLATIONS = Translations(ROOT)
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
        values,
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
    """Both bodies say the type first, then the instance, and the service at the end."""
    html, text = sample(key)
    words = [CATALOGUE.types[key].title, "Contoso Production", CATALOGUE.service.name]

    for body in (Outline(html).text, text):
        places = [body.index(words[0]), body.index(words[1]), body.rindex(words[2])]
        assert places == sorted(places)
    assert text.startswith(f"[{CATALOGUE.banners[CATALOGUE.types[key].banner or ''].cue} {words[0]}]")


@pytest.mark.parametrize("key", TYPES)
def test_the_preheader_is_short(key: str) -> None:
    """The line that a list of mails shows is there and has at most 90 characters."""
    html, _ = sample(key, "pt")
    found = re.search(r'<div class="preheader">(.*?)</div>', html, re.DOTALL)

    assert found
    assert 0 < len(" ".join(found[1].split())) <= 90


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
            first = " ".join(given[name].split("\n\n")[0].split())
            assert first in (html if field.kind == "url" else page.text), name
            assert first in lines, name


def test_event_data_cannot_become_markup() -> None:
    """Markup in any text of an event is shown as it was written."""
    evil = '"><script>alert(1)</script>{{ 7*7 }}%s'
    html, text = bodies(view_of("planned-maintenance", summary=evil, impact=evil, action=evil, details=evil))

    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 4
    assert text.count(evil) == 4


def test_a_window_is_in_the_readers_time_with_utc_beside_it() -> None:
    """The reader's own window comes first, with the days left and the same in UTC."""
    html, text = sample("planned-maintenance")

    assert "Saturday, 6 March 2027, 22:00–02:00 CET" in Outline(html).text
    assert text.splitlines()[4:6] == [
        "Saturday, 6 March 2027, 22:00–02:00 CET (in 14 days)",
        "21:00–01:00 UTC, 6 March",
    ]


def test_a_date_in_another_language_says_so() -> None:
    """Untranslated English text around a German date marks the date as German, and only then."""
    html, _ = sample("planned-maintenance", "de")

    assert '<html lang="en"' in html
    assert '<span lang="de">Samstag, 6. März 2027,</span>' in html
    assert "<span lang=" not in sample("planned-maintenance")[0]


HEADINGS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("update-scheduled", {}, "Version 10.0 has a date: approve it or choose another"),
    ("update-scheduled", {"mandatory": True}, "Version 10.0 will be installed without approval"),
    ("update-reminder", {"approved": False}, "Version 10.0 waits for your approval"),
    ("update-reminder", {"approved": True}, "Version 10.0 will be installed as approved"),
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
    ("update-compatibility", {}, "2 findings to mend before version 10.0"),
    ("update-succeeded", {}, "Version 10.0 is installed"),
    ("service-restored", {}, "Normal service is back"),
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

    assert "is two versions behind, so it will be installed without approval" in said
    assert "Nothing is installed before" not in said
    assert "Choose another date" in said


def test_a_moved_update_shows_both_dates_and_voids_reminders() -> None:
    """A rescheduled update shows the old date before the new one and says what became of reminders."""
    html, text = sample("update-rescheduled")

    assert html.index("Monday, 22 March 2027") < html.index("Monday, 29 March 2027")
    assert "<s>Monday, 22 March 2027, 22:00 CET</s>" in html
    assert "Reminders of the earlier date are void." in text


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
        assert "This is the final mail of this incident" in body
        assert "Next update by" not in body


def test_a_report_is_english_and_names_the_credit() -> None:
    """The PIR is in English with the reader's dates, and says that a breach may be claimed."""
    html, text = sample("post-incident-report", "ja")

    assert '<html lang="en"' in html
    assert "may claim the breach as a billing credit" in " ".join(text.split())


RESPONSES = (
    ("A", "standard", None, "less than 1 hour. The time counts around the clock"),
    ("B", "standard", None, "less than 4 hours. The time counts in business hours, or around the clock"),
    ("B", "unified", "americas", "from 06:00 to 18:00 Pacific time"),
    ("C", "standard", "japan", "less than 8 hours. The time counts in business hours only. Business hours"),
    ("C", "prodirect", "japan", "less than 4 hours. The time counts in business hours only."),
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
    assert text.splitlines()[0].endswith("Contoso Production (Sandbox)")
    assert "updated before its production instance" in text


def test_a_grouped_mail_lists_its_instances_up_to_a_limit() -> None:
    """Many instances are counted in the head and listed below, at most thirty of them."""
    places = tuple({**CONTOSO, "instance": f"i-{n}", "name": f"Plant {n}"} for n in range(1, 41))
    html, text = bodies(view_of("planned-maintenance", instances=places))

    assert text.splitlines()[0] == "[■ Planned maintenance] Plant 1 and 39 more"
    assert ("Plant 30" in text, "Plant 31" in text) == (True, False)
    assert "and 10 more" in Outline(html).text


REASONS = (
    ("admins", "you are a system admin of Contoso Production"),
    ("global_admins", "you are a global admin of the organisation that runs Contoso Production"),
    ("recipients", "you are on the notification list of Contoso Production"),
    ("users", "you are a user of Contoso Production"),
    ("partners", "you are a partner of record of Contoso Production"),
    ("contact", "you are the contact of this support case"),
    ("thread", "you were told of this incident before"),
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
    """Only optional types offer to stop, in both bodies."""
    optional = CATALOGUE.types[key].optional

    assert [("https://n.example/u" in body) for body in sample(key)] == [optional, optional]


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
    later = View(**{**{name: getattr(view, name) for name in View.__slots__}, "now": NOW + timedelta(7)})

    assert "(in 14 days)" in bodies(view)[1]
    assert "(in 7 days)" in bodies(later)[1]
