from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from domain_examples import steady
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateError, pass_context
from markupsafe import Markup

from dispatcher.domain.said import Said
from dispatcher.errors import DispatcherError
from dispatcher.mail import course
from dispatcher.mail.course import Bodies, Courses, Kind
from dispatcher.mail.environment import html_environment, text_environment
from dispatcher.mail.locale import Format
from dispatcher.mail.shape import Shaper, plain
from dispatcher.mail.translations import Translation

NOW = datetime(2027, 3, 6, 12, 0, tzinfo=UTC)
#: What templates do with values, in every way that Jinja has; in HTML and in text alike.
EVERYTHING = """\
{% import "macros.j2" as m with context %}
{% set first %}{{ fields.title }}{% if fields.get("note") %} ({{ fields.note }}){% endif %}{% endset %}
<p>{{ first }}|{{ first|trim }}|{{ fields.title|upper|cut(9) }}|{{ fields.title[:3] }}</p>
{% if fields.get("note") is none %}<b>none</b>
{% elif fields.note|length > 5 %}<i>{{ fields.note }}</i>{% endif %}
{% for item in fields.list %}
<p>{{ loop.index }}/{{ loop.length }} {{ item }}{{ "," if not loop.last else ";" }}</p>
{% else %}<p>empty</p>{% endfor %}
{% for row in fields.rows|sort(attribute="at", reverse=true) %}
{{ m.row(row.name, row.at|datetime) }}{% endfor %}
{% set later = fields.rows|map(attribute="at")|select("gt", now)|list %}{{ later|length }}
{% set before, mark, after = fields.title.rpartition(" ") %}<p>{{ before }}-{{ after }}</p>
{% call m.boxed(fields.number + 1) %}{{ fields.number * 2 }}{% endcall %}
{{ fields.number|number }} {{ (fields.end - fields.start)|duration }}
{{ window(fields.start, fields.end) }}
{{ utc(fields.start) }} {{ fields.start|countdown }} {{ fields.start|days_until }}
{{ fields.list|join("; ") }}
{% if "x" in fields.title and not fields.flag %}x{% endif %}{% if fields.number in [1, 2, 3] %}few{% endif %}
{% trans name=fields.title %}Dear {{ name }}{% endtrans %} {{ _("Constant") }}
{% trans n=fields.list|length %}{{ n }} thing{% pluralize %}{{ n }} things{% endtrans %}
{{ fields.note or "nothing" }} {{ fields.title if fields.flag else fields.number }} {{ time_zone }}
{{ {"a": fields.title}.a }} {{ [fields.title, "z"]|first }} {{ "%s!"|format(fields.title) }}
{{ m.maybe(fields.note) or "no note" }}
<p{{ fields.title|foreign }}>{{ fields.title|replace("a", "b") }}</p>
"""
#: A value that is joined this way is part of the course: that is right, and no faster.
JOINED = '{{ fields.title ~ "-" ~ fields.number }}'
MACROS = """\
{% macro row(name, at) %}<p>{{ name }} {{ at }}{% if name == "special" %}!{% endif %}</p>{% endmacro %}
{% macro boxed(number) %}[{{ number }}: {{ caller() }}]{% endmacro %}
{% macro maybe(note) %}{% if note %}{{ note }}{% endif %}{% endmacro %}
"""
PAGE = "<html><head></head><body>{body}</body></html>"
LOOKALIKES = ("", " ", "<b>", "&amp;", "x y", "special", "a\nb", "{{ 7 }}", "%s %(n)s", "v0n0z", "t0n0z")

texts = st.one_of(st.sampled_from(LOOKALIKES), st.text(st.characters(exclude_categories=["Cs"]), max_size=9))
moments = st.integers(0, 500_000).map(lambda minutes: NOW + timedelta(minutes=minutes - 100_000))
said = st.tuples(texts, st.sampled_from(("en", "de"))).map(lambda pair: Said(*pair))
given_fields = st.fixed_dictionaries(
    {
        "title": said,
        "note": st.none() | said,
        "list": st.lists(texts, max_size=3).map(tuple),
        "rows": st.lists(st.fixed_dictionaries({"name": texts, "at": moments}), max_size=3).map(tuple),
        "number": st.integers(-3, 3000),
        "flag": st.booleans(),
        "start": moments,
        "end": moments,
    }
)
FIELDS: dict[str, Any] = {
    "title": Said("The axle of x"),
    "note": Said("short"),
    "list": ("one", "two"),
    "rows": ({"name": "a", "at": NOW - timedelta(1)}, {"name": "b", "at": NOW + timedelta(1)}),
    "number": 1234,
    "flag": False,
    "start": NOW + timedelta(days=3),
    "end": NOW + timedelta(days=3, hours=4),
}


@dataclass
class Way:
    """Templates that are rendered through courses, and how often they had to be."""

    folder: Path
    plainly: list[Bodies] = field(default_factory=list)
    word: Callable[[], str] = lambda: "0ffee"

    def __post_init__(self) -> None:
        self.shaper = Shaper(lambda html, _: html, self.word)
        self.html = html_environment(self.folder, finalize=self.shaper.finalize)
        self.text = text_environment(self.folder, finalize=pass_context(lambda _, value: plain(value)))
        self.courses = Courses(self.folder, self.html, self.text, self.shaper, self.word)

    def __call__(self, *, key: str = "k", **changed: Any) -> Bodies:
        context = variables(changed)
        common = ("key", "translations", "lang", "type")
        roots = tuple(name for name in context if name not in common)
        return self.courses.render(Kind("t", key, None, roots), context, lambda: self.rendered(context))

    def rendered(self, context: Mapping[str, Any]) -> Bodies:
        names = self.shaper.translating(context["translations"])
        page = self.shaper.render(self.html.get_template("t.html.j2"), {**context, **names}, "templates/t")
        self.plainly.append((page, self.text.get_template("t.txt.j2").render(context)))
        return self.plainly[-1]


def variables(changed: Mapping[str, Any]) -> dict[str, Any]:
    zone = changed.get("time_zone", "UTC")
    own = {name: value for name, value in changed.items() if name != "time_zone"}
    fixed = {"key": "k", "type": None, "lang": Markup("en"), "translations": Translation(), "now": NOW}
    return fixed | {"fields": FIELDS | own, "time_zone": zone, "format": Format("en", zone)}


def way(folder: Path, body: str, macros: str = MACROS) -> Way:
    folder.mkdir(exist_ok=True)
    (folder / "t.html.j2").write_text(PAGE.format(body=body), "utf-8")
    (folder / "t.txt.j2").write_text(f"{{% filter wrap %}}{body}{{% endfilter %}}", "utf-8")
    (folder / "macros.j2").write_text(macros, "utf-8")
    return Way(folder)


def outcome(render: Callable[[], Bodies]) -> Bodies | str:
    try:
        return render()
    except (DispatcherError, TemplateError, ValueError, ZeroDivisionError) as error:
        return f"{type(error).__name__}: {error}"


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Way:
    """The template that does everything."""
    return way(tmp_path_factory.mktemp("templates"), EVERYTHING + JOINED)


class TestSameWords:
    @steady
    @given(fields=given_fields, zone=st.sampled_from(("UTC", "Europe/Berlin", "Asia/Tokyo")))
    def test_a_course_gives_what_the_templates_give(
        self, everything: Way, fields: dict[str, Any], zone: str
    ) -> None:
        """Whatever the values are, and whichever courses are known by then, the mail is the same."""
        changed = {**fields, "time_zone": zone}
        by_templates = outcome(lambda: everything.rendered(variables(changed)))

        assert outcome(lambda: everything(**changed)) == by_templates

    def test_other_values_need_no_templates(self, tmp_path: Path) -> None:
        """Once a course is proved, texts, numbers and moments may change and it is taken."""
        made = way(tmp_path, EVERYTHING)
        for number in range(6):
            made(title=f"The axle of x {number}")
        known = len(made.plainly)
        start = NOW + timedelta(days=40)
        changed: dict[str, Any] = {
            "number": 99,
            "time_zone": "Asia/Tokyo",
            "start": start,
            "end": start + timedelta(hours=3),
        }
        first, second = made(title="The x\n& more", **changed), made(title="A <fox>", note=Said("later"))

        assert known == course._UNTRACED + 1 + course._PROOFS
        assert "Asia/Tokyo" in first[0]
        assert "&lt;fox&gt; (later)" in second[0]
        assert len(made.plainly) == known

    @pytest.mark.parametrize(
        "changed",
        [
            {"note": None},
            {"list": ()},
            {"list": ("1", "2", "3")},
            {"flag": True},
            {"number": 2},
            {"rows": ()},
        ],
        ids=str,
    )
    def test_another_course_is_seen(self, tmp_path: Path, changed: dict[str, Any]) -> None:
        """A value that sends the template another way is never squeezed into the course that is known."""
        made = way(tmp_path, EVERYTHING)
        for _ in range(6):
            made()
        known = len(made.plainly)

        assert made(**changed) == made.plainly[-1]
        assert len(made.plainly) == known + 1


class TestLimits:
    @pytest.mark.parametrize(
        "body",
        [
            "{{ fields.list|random }}",
            "{{ lipsum(1, false) }}{{ fields.title }}",
            "{% set now = fields.start %}{{ fields.end|days_until }}",
            "{% set found = [] %}{% if found.append(fields.title) %}{% endif %}{{ found|length }}",
            "{{ fields.update({'seen': true}) or 'done' }}{{ fields.title }}",
            JOINED,
        ],
    )
    def test_what_cannot_be_noted_is_rendered_as_ever(self, tmp_path: Path, body: str) -> None:
        """Chance, side effects and hidden variables keep a template from courses, and change nothing."""
        made = way(tmp_path, f"<p>{body}</p>")
        for number in range(12):
            assert made(title=f"{number}") == made.plainly[-1]

        assert len(made.plainly) == 12

    @pytest.mark.parametrize(
        ("body", "before", "after"),
        [
            (
                "{% set now = [fields.start, now]|max %}{{ fields.end|days_until }}",
                {"start": NOW - timedelta(1), "end": NOW + timedelta(9)},
                {"start": NOW + timedelta(6), "end": NOW + timedelta(9)},
            ),
            (
                "{% set w = [] %}{{ w|select('eq', fields.title)|join }}{% if w.append('b') %}{% endif %}",
                {"title": "a"},
                {"title": "b"},
            ),
            (
                "{% set items = fields.list|map('upper') %}{{ items|join }};{{ items|join }}",
                {"list": ()},
                {"list": ("a", "b")},
            ),
            ("{% set unused = 1 // fields.number %}{{ fields.title }}", {"number": 1}, {"number": 0}),
            (
                "{% set unused %}{{ fields.note }}{% endset %}{{ fields.title }}",
                {"note": "a"},
                {"note": None},
            ),
            (
                "{{ fields.start ~ '' }}",
                {"start": NOW},
                {"start": NOW.astimezone(timezone(timedelta(hours=3)))},
            ),
            ("{{ fields.number ~ '' }}", {"number": 0.0}, {"number": -0.0}),
        ],
    )
    def test_a_trusted_course_is_left_where_the_templates_would(
        self, tmp_path: Path, body: str, before: dict[str, Any], after: dict[str, Any]
    ) -> None:
        """What no earlier mail gave away is still said as the templates say it, and fails where they fail."""
        made = way(tmp_path, f"<p>{body}</p>")
        for _ in range(6):
            made(**before)

        assert outcome(lambda: made(**after)) == outcome(lambda: made.rendered(variables(after)))

    @pytest.mark.parametrize("body", ["{{ [[1]]|map('random')|first }}", "{% include 'ext' ~ 'ra.j2' %}"])
    def test_what_may_come_out_otherwise_by_itself_is_never_traced(self, tmp_path: Path, body: str) -> None:
        """Chance by a filter's name, and files of no known version, keep a template from courses."""
        made = way(tmp_path, f"<p>{body}{{{{ fields.title }}}}</p>")
        (tmp_path / "extra.j2").write_text("one", "utf-8")
        for _ in range(40):
            made()

        assert len(made.plainly) == 40
        assert not any(mails.courses for mails in made.courses._kinds.values())

    def test_a_course_that_says_something_else_is_dropped(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A course is held against the templates first; they are right, and it is not taken again."""
        made, count = way(tmp_path, "<p>{{ fields.title }} {{ fields.thing.next }}</p>"), itertools.count()

        class Thing:
            @property
            def next(self) -> int:
                number = next(count)
                return 1 if number < 10 else number  # in the proof, and not before

        for _ in range(12):
            assert made(thing=Thing()) == made.plainly[-1]

        assert "by a shorter way" in caplog.text

    def test_kinds_are_bounded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many kinds of mail there are, only the last are kept."""
        monkeypatch.setattr(course, "_KINDS", 3)
        made = way(tmp_path, "<p>{{ fields.title }}</p>")
        for number in range(10):
            made(key=f"{number}")

        assert list(made.courses._kinds) == ["7", "8", "9"]

    def test_no_mail_is_kept_with_its_course(self, tmp_path: Path) -> None:
        """What stays in memory is the templates' and none of what a mail said."""
        made = way(tmp_path, "<p>{{ fields.title }} {{ fields.list|join(' ') }}</p>")
        for _ in range(8):
            made(title=Said("secret-1"), list=("secret-2",))
        [mails] = made.courses._kinds.values()

        assert mails.courses
        for one in mails.courses:
            assert "secret" not in repr((one.page._values, one.text._values, one.shape))

    def test_threads_do_not_mix(self, tmp_path: Path) -> None:
        """Renders in several threads at once each keep their own values, while courses are found."""
        made = way(tmp_path, EVERYTHING)

        def render(number: int) -> list[Bodies]:
            return [made(key=f"{turn % 3}", title=f"x {number}-{turn}") for turn in range(20)]

        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(render, range(4)))

        expected = Way(made.folder)
        assert results == [
            [expected.rendered(variables({"title": f"x {number}-{turn}"})) for turn in range(20)]
            for number in range(4)
        ]
