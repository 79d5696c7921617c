from __future__ import annotations

import gettext
import importlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from dispatcher.errors import EventInvalid, TemplateInvalid
from dispatcher.mail.inline import inline
from dispatcher.mail.shape import Shaper

etree = importlib.import_module("lxml.etree")  # it brings no types

WORD = "5ec2e7w02d"
PAGE = """\
<!DOCTYPE html>
<html lang="{{ lang }}"><head><title>{{ title }}</title>
<style>
.banner { background-color: {{ colour }}; color: #242424 !important; font-family: "Segoe UI", Arial }
td p, a.button { margin: 0; padding: 4px 8px }
.banner:hover { color: red }
</style>
<style data-premailer="ignore">@media (max-width: 480px) { .banner { color: {{ colour }} } }</style>
</head><body>
{% import "parts.j2" as parts with context %}
{% set heading %}<h1>{{ title }}</h1>{% endset %}
<!--[if mso]><td bgcolor="{{ colour }}">{{ title }}<![endif]-->
<table role="presentation"><tr><td class="banner" bgcolor="{{ colour }}" title='{{ title }}'>
{{ heading }}{{ heading }}
<p>{% trans name=title, place=items[0] %}Dear {{ name }}, it is 100% <b>about</b> {{ place }}.
{% endtrans %}</p>
<p>{% trans n=items|length %}{{ n }} thing{% pluralize %}{{ n }} things{% endtrans %}
{{ "constant" }} {{ 7 }}</p>
{% for item in items %}{% call parts.row(item) %}{{ loop.index }}: {{ item }}{% endcall %}{% endfor %}
{% if items|length > 2 %}<p>many</p>{% endif %}
<a class="button" href="{{ url }}" title="{{ title }}: {{ title|upper }}">{{ url }}</a>
<a href="https://example.com/?q={{ title|urlencode }}&amp;p={{ path }}">{{ markup }}</a>
<img src="{{ url }}" alt="{{ title }}">
</td></tr></table></body></html>
"""
PARTS = """\
{% macro row(name) %}<p class="row" id="{{ name }}">{{ _("Row") }} {{ caller() }}</p>{% endmacro %}
"""
VALUES: dict[str, Any] = {
    "lang": "en",
    "title": "Planned maintenance",
    "colour": "#FFDDB3",
    "items": ["one", "two"],
    "url": "https://status.example/?a=1&b=2",
    "path": "x/y",
    "markup": Markup("<em>structure</em>"),
}
LOOKALIKES = (
    "<script>alert(1)</script>",
    "\"' onmouseover='x' \"",
    "&amp; &lt;b&gt; &nbsp; &#34;",
    "</style></title></p>-->",
    "{{ 7 * 7 }}{% raw %}",
    "100% %s %(name)s",
    f"v{WORD}n0z v{WORD}n1z",
    "v0n0z",
    "漢字 – “Ünïcödé” 👩‍👩‍👧",
    "line\nbreak\ttab",
)

# XML's characters, less those that HTML turns into others, and not all blank: lxml drops blank texts.
shown = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Cn"], exclude_characters="\xa0"), max_size=30
).map(lambda text: f"x{text}y")
values = st.one_of(shown, st.sampled_from(LOOKALIKES))


class German(gettext.NullTranslations):
    def gettext(self, message: str) -> str:
        return {"Row": "Zeile"}.get(message, message.replace("Dear", "Hallo <i>du</i>"))


def environment(finalize: Callable[..., Any] | None, **templates: str) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.DictLoader({"page": PAGE, "parts.j2": PARTS, **templates}),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        finalize=finalize,
    )
    made.install_gettext_translations(German(), newstyle=True)  # type: ignore[attr-defined]
    return made


class Shaped:
    """The page through a shaper, and how often premailer ran for it."""

    def __init__(self, word: str = WORD, **templates: str) -> None:
        self.inlined: list[str] = []
        self.shaper = Shaper(self._inline, lambda: word)
        self.environment = environment(self.shaper.finalize, **templates)

    def _inline(self, html: str, where: str) -> str:
        self.inlined.append(html)
        return inline(html, where)

    def __call__(self, name: str = "page", **changed: Any) -> str:
        context = {**VALUES, **changed, **self.shaper.translating(German())}
        return self.shaper.render(self.environment.get_template(name), context, f"templates/{name}")


PLAIN = environment(None)
SHAPED = Shaped()


def plain(**changed: Any) -> str:
    return inline(PLAIN.get_template("page").render({**VALUES, **changed}), "templates/page")


def tree(html: str) -> list[object]:
    """Everything a parser sees: each element, its attributes in any order, and the texts around it."""
    root = etree.fromstring(html, etree.HTMLParser())
    return [(node.tag, dict(node.attrib), node.text or "", node.tail or "") for node in root.iter()]


def one(template: str, **values: Any) -> str:
    return Shaped(t=f"<html><head></head><body>{template}</body></html>")("t", **values)


class TestEquality:
    @given(title=values, items=st.lists(values, min_size=1, max_size=4), path=values)
    def test_a_filled_shape_equals_premailer_over_the_plain_rendering(
        self, title: str, items: list[str], path: str
    ) -> None:
        """Whatever the values are, a reader's parser sees the same document as without shapes."""
        changed: dict[str, Any] = {"title": title, "items": items, "path": path}

        assert tree(SHAPED(**changed)) == tree(plain(**changed))

    @pytest.mark.parametrize(
        "url", ["http://a.example", "mailto:a@b.example", "HTTPS://ä.example/ü ü?q='\"<>"]
    )
    def test_links_equal_premailers(self, url: str) -> None:
        """A link is escaped and percent-encoded as premailer's serializer does."""
        assert tree(SHAPED(url=url)) == tree(plain(url=url))

    def test_styles_reach_the_elements(self) -> None:
        """A value in CSS is inlined like any other text of a rule."""
        html = SHAPED(colour="#123456")

        assert 'bgcolor="#123456"' in html
        assert "background-color:#123456" in html.partition("<body")[2]

    def test_translated_text_is_structure(self) -> None:
        """A translation may hold HTML; its variables are escaped."""
        html = SHAPED(title="<Ada>")

        assert "Hallo <i>du</i> &lt;Ada&gt;, it is 100% <b>about</b> one." in html
        assert "2 things\nconstant 7" in html
        assert "1 thing\nconstant 7" in SHAPED(items=["one"])

    @pytest.mark.parametrize(
        ("template", "text"),
        [
            ('{% trans "on a list" x=title %}<b>{{ x }}</b>{% endtrans %}', "<b>&lt;Ada&gt;</b>"),
            ('{% trans "c" n=1 %}{{ n }} one{% pluralize %}{{ n }} many{% endtrans %}', "1 one"),
            ('{{ ngettext("%(num)s one", "%(num)s many", 2) }}', "2 many"),
            ('{{ gettext("%(x)s", x=markup) }}', "<em>structure</em>"),
        ],
    )
    def test_every_way_to_translate_works_as_in_jinja(self, template: str, text: str) -> None:
        """Plurals, contexts and calls of gettext give what Jinja's own functions give."""
        page = f"<html><head></head><body><p>{template}</p></body></html>"
        own = environment(None, t=page).get_template("t").render({**VALUES, "title": "<Ada>"})

        assert f"<p>{text}</p>" in one(f"<p>{template}</p>", title="<Ada>")
        assert f"<p>{text}</p>" in own

    def test_no_random_word_is_left(self) -> None:
        """No token survives into the mail, and the mail does not depend on the process's random word."""
        assert WORD not in SHAPED()
        assert Shaped("0ther")() == SHAPED()


class TestOncePerShape:
    def test_premailer_runs_once_per_shape(self) -> None:
        """Other values make no other shape; another structure does."""
        shaped = Shaped()
        for title in LOOKALIKES:
            shaped(title=title, items=[title, "two"])
        same = len(shaped.inlined)
        shaped(items=["one", "two", "three"])

        assert (same, len(shaped.inlined)) == (1, 2)

    def test_event_data_never_reaches_premailer(self) -> None:
        """The skeleton holds structure and tokens only."""
        shaped = Shaped()
        shaped(title="Secret", items=["Secret"], url="https://secret.example", colour="Secret", path="Secret")

        assert "secret" not in shaped.inlined[0].lower()

    def test_renders_do_not_mix(self) -> None:
        """Renders in several threads at once each keep their own values."""
        shaped, barrier = Shaped(), threading.Barrier(4)

        def render(number: int) -> list[str]:
            barrier.wait()
            return [shaped(title=f"{number}-{turn}", items=[f"{number}"]) for turn in range(20)]

        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(render, range(4)))

        assert results == [
            [SHAPED(title=f"{number}-{turn}", items=[f"{number}"]) for turn in range(20)]
            for number in range(4)
        ]


class TestRefusals:
    @pytest.mark.parametrize(
        ("template", "why"),
        [
            ("{{ missing }}", "'missing' is undefined"),
            ("{{ title.missing }}", "no attribute 'missing'"),
            ("{{ nothing }}", "None"),
            ("{% trans x=nothing %}{{ x }}{% endtrans %}", "None"),
            ("{% trans %}{{ missing }}{% endtrans %}", "'missing' is undefined"),
            ("{{ items }}", "type list"),
            ("{{ items.append }}", "type builtin_function_or_method"),
            ("{{ true }}", "type bool"),
            ("{% import 'parts.j2' as parts %}{% call parts.row('x') %}y{% endcall %}", "without context"),
        ],
    )
    def test_what_is_no_text_is_an_error(self, template: str, why: str) -> None:
        """A missing value, None, a list or a method is an error, never text in a mail."""
        with pytest.raises(jinja2.TemplateRuntimeError, match=why):
            one(template, nothing=None)

    @pytest.mark.parametrize(
        "url",
        [
            "javascript:alert(1)",
            " javascript:alert(1)",
            "JavaScript:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "//evil.example",
            "/relative",
            "https:",
            "mailto:",
            "",
        ],
    )
    @pytest.mark.parametrize(
        "template",
        [
            '<a href="{{ url }}">x</a>',
            "<a class=x HREF = '{{ url }}'>x</a>",
            "<a href={{ url }}>x</a>",
            '<img src="{{ url }}">',
            '<a href="{{ url }}{{ title }}">x</a>',
            '<!--[if mso]><v:rect href="{{ url }}"><![endif]-->',
        ],
    )
    def test_only_web_and_mail_links(self, template: str, url: str) -> None:
        """A value where a link begins must be an http, https or mailto address."""
        with pytest.raises(EventInvalid, match="as a link"):
            one(template, url=url)

    @pytest.mark.parametrize(
        "template",
        [
            '<p style="color: {{ colour }}">x</p>',
            "<style>p { color: {{ colour }} }</style><p>x</p>",
            "<style>@media print { p { color: {{ colour }} } }</style>",
        ],
    )
    @pytest.mark.parametrize(
        "colour", ["red; background: url(x)", "red} body { display: none", "expression(1)"]
    )
    def test_values_bring_no_css(self, template: str, colour: str) -> None:
        """A value in a style is one value, not more rules."""
        with pytest.raises(EventInvalid, match="as a style"):
            one(template, colour=colour)

    @pytest.mark.parametrize(
        "template",
        [
            "{% filter upper %}{{ title }}{% endfilter %}",
            "{% set x %}{{ title }}{% endset %}{{ x|upper }}",
            "{% set x %}{{ title }}{% endset %}{{ x|truncate(12, true, '...', 0) }}",
        ],
    )
    def test_filters_over_captured_values_are_refused(self, template: str) -> None:
        """A filter that would work on a token instead of its value is an error, not a broken mail."""
        with pytest.raises(TemplateInvalid, match="a value would be lost"):
            one(template)

    def test_unprintable_characters_are_replaced(self) -> None:
        """Control characters and half surrogate pairs never reach a mail; line breaks become LF."""
        assert "a\ufffd\ufffd\ufffdb\nc" in one("<p>{{ title }}</p>", title="a\x00\x1b\ud800b\r\nc")


class TestInline:
    @pytest.mark.parametrize(
        "head",
        [
            "<style>@import url(https://example.com/x.css);</style>",
            "<style>@IMPORT 'x.css';</style>",
            '<link rel="stylesheet" href="https://example.com/x.css">',
        ],
    )
    def test_outside_styles_are_refused(self, head: str) -> None:
        """A template that would make premailer fetch something is refused, and its name is given."""
        with pytest.raises(TemplateInvalid, match=r"templates/x\.html\.j2: .*outside the template"):
            inline(f"<html><head>{head}</head><body>x</body></html>", "templates/x.html.j2")

    @pytest.mark.parametrize("html", ["", "<style>a:nth-child { color: red }</style><a>x</a>"])
    def test_a_failure_names_the_template(self, html: str) -> None:
        """Whatever breaks in premailer comes out as one error that names the template."""
        with pytest.raises(TemplateInvalid, match=r"templates/x\.html\.j2: .*could not be inlined"):
            inline(html, "templates/x.html.j2")

    def test_cssutils_is_silent(self, capfd: pytest.CaptureFixture[str]) -> None:
        """CSS that cssutils does not know is kept and reported nowhere."""
        html = "<style>p { mso-line-height-rule: exactly; colour: 1q }</style><p>x</p>"

        assert "mso-line-height-rule:exactly" in inline(html, "x")
        assert capfd.readouterr() == ("", "")
