from __future__ import annotations

import importlib
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from dispatcher.domain.fields import parse_fields, said_fields, sample
from dispatcher.domain.instance import Instance
from dispatcher.domain.language import LANGUAGES
from dispatcher.errors import EventInvalid, TemplateInvalid
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.mail.content import DECIDE, RECIPIENT, SLOTS, UNSUBSCRIBE
from dispatcher.mail.environment import context_for, html_environment
from dispatcher.mail.inline import inline
from dispatcher.mail.renderer import Renderer
from dispatcher.mail.translations import Translations
from dispatcher.mail.view import View

etree = importlib.import_module("lxml.etree")  # it brings no types

ROOT = Path(__file__).parents[3]
CATALOGUE = load_catalogue(ROOT / "catalogue.yaml", templates=ROOT / "templates")
NOW = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)
MAILED = [key for key, spec in CATALOGUE.types.items() if spec.banner]
INSTANCE = Instance.model_validate(
    {
        "instance": "contoso-prod",
        "name": "Contoso <Production> & “Söhne”",
        "url": "https://contoso.example/?a=1&b=ü",
        "admins": ["ops@contoso.example"],
    }
)
HTML = """\
{% extends "page.html.j2" %}
{% block body %}<p>{{ fields.summary }} {{ instance.title }}</p><p>{{ recipient_address }}</p>{% endblock %}
"""
PAGE = """\
<html lang="{{ lang }}"><head><style>p { color: {{ banner.background }} }</style></head>
<body>{% block body %}{% endblock %}</body></html>
"""
TEXT = "{{ fields.summary }} {{ instance.title }}\n{{ recipient_address }}\n"


def view(key: str = "planned-maintenance", language: str = "en", **changed: Any) -> View:
    spec = CATALOGUE.types[key]
    fields, problems = parse_fields(spec, sample(spec, NOW))
    assert problems == []
    return View(
        key=key,
        type=spec,
        banner=CATALOGUE.banners[spec.banner or ""],
        service=CATALOGUE.service,
        sender=CATALOGUE.senders["default"],
        instances=(INSTANCE,),
        fields={**said_fields(spec, fields, spec.language_for(language)), **changed},
        language=language,
        time_zone="Europe/Berlin",
        roles=("admins",),
        now=NOW,
    )


@pytest.fixture(scope="module")
def shipped() -> Renderer:
    """A renderer of the templates that ship."""
    return Renderer(ROOT / "templates", Translations(ROOT))


@pytest.fixture(scope="module")
def by_templates() -> Renderer:
    """The same, that renders every mail with its templates."""
    made = Renderer(ROOT / "templates", Translations(ROOT))
    courses: Any = made._courses
    courses.render = lambda _kind, _context, plainly: plainly()
    return made


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A folder of small templates."""
    folder = tmp_path / "templates"
    folder.mkdir()
    for name, source in (
        ("maintenance.html.j2", HTML),
        ("page.html.j2", PAGE),
        ("maintenance.txt.j2", TEXT),
    ):
        (folder / name).write_text(source, "utf-8")
    return folder


@pytest.fixture
def renderer(templates: Path) -> Renderer:
    """A renderer of the small templates."""
    return Renderer(templates, Translations(templates.parent))


def rewrite(file: Path, source: str) -> None:
    """Writes a file so that its time of change differs, however coarse the file system's clock."""
    before = file.stat().st_mtime_ns
    file.write_text(source, "utf-8")
    os.utime(file, ns=(before + 10**9, before + 10**9))


def tree(html: str) -> list[object]:
    root = etree.fromstring(html, etree.HTMLParser())
    return [(node.tag, dict(node.attrib), node.text or "", node.tail or "") for node in root.iter()]


class TestShipped:
    @pytest.mark.parametrize(
        ("key", "language"),
        [(key, LANGUAGES[index % len(LANGUAGES)]) for index, key in enumerate(MAILED * 2)],
    )
    def test_every_mail_equals_premailer_over_the_plain_rendering(
        self, shipped: Renderer, key: str, language: str
    ) -> None:
        """Every type is the same document with and without shapes, in a language of its turn."""
        seen = view(key, language)
        translations = Translations(ROOT)
        context = context_for(
            seen, translations, recipient=Markup(RECIPIENT), unsubscribe=Markup(UNSUBSCRIBE)
        )
        template = html_environment(ROOT / "templates").get_template(f"{seen.type.template}.html.j2")
        plain = inline(template.render(context), "templates/x")

        assert tree(shipped.render(seen, unsubscribe=True).html) == tree(plain)

    @pytest.mark.parametrize(
        ("key", "language"),
        [(key, LANGUAGES[(index * 2) % len(LANGUAGES)]) for index, key in enumerate(MAILED)],
    )
    def test_every_mail_is_the_same_by_its_course(
        self, shipped: Renderer, by_templates: Renderer, key: str, language: str
    ) -> None:
        """Every type takes a course from the sixth mail on, and no letter of it differs."""
        spec = CATALOGUE.types[key]
        for number in range(9):
            now = NOW + timedelta(hours=7 * number)
            fields = said_fields(spec, parse_fields(spec, sample(spec, now))[0], spec.language_for(language))
            if number % 3 == 2:  # without the optional ones the templates go another way
                fields = {name: one if spec.fields[name].required else None for name, one in fields.items()}
            zone = ("Europe/Berlin", "Asia/Tokyo", "America/New_York")[number % 3]
            seen = replace(view(key, language), fields=fields, now=now, time_zone=zone)

            assert shipped.render(seen, unsubscribe=True) == by_templates.render(seen, unsubscribe=True)

    @pytest.mark.parametrize("key", MAILED)
    def test_every_mail_names_its_reader(self, shipped: Renderer, key: str) -> None:
        """The reader's address has its place in both bodies of every type."""
        content = shipped.render(view(key), unsubscribe=True)

        assert RECIPIENT in content.html
        assert RECIPIENT in content.text
        assert (UNSUBSCRIBE in content.html) == CATALOGUE.types[key].optional

    def test_hostile_fields_stay_text(self, shipped: Renderer) -> None:
        """Markup, template syntax and gettext placeholders in a field are shown as they were written."""
        hostile = "<b>{{ 7*7 }}</b> %(name)s 100% &amp;"
        content = shipped.render(view(summary=hostile))

        assert "&lt;b&gt;{{ 7*7 }}&lt;/b&gt; %(name)s 100% &amp;amp;" in content.html
        assert hostile in content.text

    def test_a_dangerous_link_is_refused(self, shipped: Renderer) -> None:
        """A link that is no web address is refused, whatever let it through before."""
        with pytest.raises(EventInvalid, match="javascript:alert"):
            shipped.render(view(more_url="javascript:alert(1)"))


class TestContent:
    def test_content_says_what_it_is(self, renderer: Renderer) -> None:
        """Content carries the subject, both bodies, the language and the template's version."""
        content = renderer.render(view(summary="Disks"))

        assert content.text == f"Disks {INSTANCE.title}\n{RECIPIENT}"
        assert f'<p style="color:#FFDDB3">{RECIPIENT}</p>' in content.html
        assert content.subject.startswith("Planned maintenance on 15 Mar 2027")
        assert content.language == "en"
        assert content.template.startswith("maintenance@")
        assert len(content.template) == len("maintenance@3f2a9c1e")

    def test_rendering_is_deterministic(self, templates: Path, renderer: Renderer) -> None:
        """Two processes render the same view to the same content."""
        other = Renderer(templates, Translations(templates.parent), word=lambda: "0ther")

        assert other.render(view()) == renderer.render(view())

    @pytest.mark.parametrize("word", SLOTS)
    def test_event_data_cannot_ask_for_the_address(self, renderer: Renderer, word: str) -> None:
        """A value that is spelt like the reader's place is shown, and stays a value."""
        content = renderer.render(view(summary=f"a{word}b"))
        shown = "".join(etree.fromstring(content.html, etree.HTMLParser()).itertext())

        assert (content.html.count(RECIPIENT), content.text.count(RECIPIENT)) == (1, 1)
        assert UNSUBSCRIBE not in content.html + content.text
        assert DECIDE not in content.html + content.text
        assert f"a{word}b" in shown
        assert f"a{word[0]} {word[1:]}b" in content.text

    def test_a_template_cannot_ask_for_it_by_spelling_either(
        self, templates: Path, renderer: Renderer
    ) -> None:
        """Only the variable puts the reader's address into a mail."""
        rewrite(templates / "maintenance.txt.j2", f"{RECIPIENT}\n")

        assert RECIPIENT not in renderer.render(view()).text


class TestChange:
    @pytest.mark.parametrize("name", ["maintenance.html.j2", "page.html.j2", "maintenance.txt.j2"])
    def test_a_changed_template_counts_at_once(self, templates: Path, renderer: Renderer, name: str) -> None:
        """After a template, or one it extends, changes, the next mail is new and so is its version."""
        before = renderer.render(view())
        file = templates / name
        rewrite(file, file.read_text("utf-8").replace("{{ ", "new {{ ", 1))
        after = renderer.render(view())

        assert (before.html, before.text) != (after.html, after.text)
        assert before.template != after.template
        assert renderer.render(view()).template == after.template


class TestFaults:
    @pytest.mark.parametrize(
        ("source", "line", "said"),
        [
            ("\n\n{{ fields.sumary }}", 3, r"'sumary'\. Did you mean summary\? .*fields of planned-main"),
            (
                "\n{{ instanse.title }}",
                2,
                r"'instanse' is undefined\. Did you mean instance\? A template may use affected, ",
            ),
            (
                "\n{{ fields.nothing_like_it }}",
                2,
                "The fields of planned-maintenance are action, cancelled, details",
            ),
            ("\n{{ fields.impact.x.y }}", 2, "no attribute 'x'"),
            ("\n{{ 1 / 0 }}", 2, "division by zero"),
            ("\n{{ fields.summary() }}", 2, "not callable"),
            ("{{ fields.impact }}", 1, "type tuple"),
            ("{% trans %}{{ nowhere }}{% endtrans %}", 1, "'nowhere' is undefined"),
            ("\n\n{% if %}", 3, "cannot be read"),
            ('{% include "gone.j2" %}', 1, "does not exist"),
        ],
    )
    @pytest.mark.parametrize("kind", ["html", "txt"])
    def test_a_fault_is_named_with_its_line(
        self, templates: Path, renderer: Renderer, kind: str, source: str, line: int, said: str
    ) -> None:
        """Whatever is wrong with a template is one error with file, line, reason and what to do."""
        (templates / f"maintenance.{kind}.j2").write_text(source, "utf-8")
        where = rf"templates/(maintenance\.{kind}\.j2:{line}|gone\.j2)"

        with pytest.raises(TemplateInvalid, match=rf"(?s)^{where}: .*{said}"):
            renderer.render(view())

    @pytest.mark.parametrize("kind", ["html", "txt"])
    def test_an_optional_field_that_is_missing_is_no_text(
        self, templates: Path, renderer: Renderer, kind: str
    ) -> None:
        """None is never written out as a word."""
        (templates / f"maintenance.{kind}.j2").write_text("<p>{{ fields.more_url }}</p>", "utf-8")

        with pytest.raises(TemplateInvalid, match="a value is None"):
            renderer.render(view(more_url=None))

    def test_a_missing_template_is_named(self, templates: Path, renderer: Renderer) -> None:
        """A type whose template is not there says which file to write."""
        (templates / "maintenance.txt.j2").unlink()

        with pytest.raises(TemplateInvalid, match=r"templates/maintenance\.txt\.j2: does not exist"):
            renderer.render(view())

    def test_broken_styles_name_the_template(self, templates: Path, renderer: Renderer) -> None:
        """A rule that cannot be inlined is an error of the template that was rendered."""
        (templates / "page.html.j2").write_text("<style>p:nth-child { color: red }</style><p>x</p>", "utf-8")

        with pytest.raises(TemplateInvalid, match=r"templates/maintenance\.html\.j2: .*inlined"):
            renderer.render(view())

    def test_a_view_of_another_language_is_rendered_in_the_types_own(self, renderer: Renderer) -> None:
        """A type that is written in English only is English for every reader."""
        seen = view("post-incident-report", "ja")
        english = replace(seen, type=seen.type.model_copy(update={"template": "maintenance"}))

        assert renderer.render(english).language == "en"
