"""What it costs to make a mail whose shape is known, against Jinja2 and premailer over the same mail.

Both are in CPU time of this process, so that others on the machine do not count. Every mail has values of its
own: texts, dates, instance, time zone. Twenty mails of each type go before, uncounted, so that shapes are
known; with Jinja2 and premailer one in each language, so that templates are compiled and style sheets read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.bench import Bench
from benchmarks.harness import roots
from benchmarks.harness.clock import worked
from benchmarks.harness.figures import Goal, Row, Section
from benchmarks.peers.mails import inlined
from dispatcher.app import locales_of_program
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.fields import parse_fields, sample
from dispatcher.domain.instance import Instance
from dispatcher.domain.window import Entry, window_of
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.flow.reading import Reading, view_of
from dispatcher.mail import message
from dispatcher.mail.environment import context_for, html_environment, text_environment
from dispatcher.mail.renderer import Renderer
from dispatcher.mail.translations import Translations
from dispatcher.mail.view import View

_WARM, _MAILS, _PEER_MAILS, _READERS = 20, 16, 4, 300
_START = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)
_LANGUAGES = ("en", "de", "ja", "fr")
_LINK = f"https://notices.example/choices/{'a' * 120}"


@dataclass(slots=True)
class _Costs:
    """Seconds of CPU a mail."""

    first: float
    render: float
    bytes_: float
    peer: float
    peer_bytes: float
    finish: float


def render(bench: Bench) -> Section:
    """Every type with a banner, in four languages and five zones."""
    with bench.place("render") as folder:
        root = roots.lay_out(folder / "root")
        catalogue = load_catalogue(root / "catalogue.yaml", templates=root / "templates")
        keys = [key for key, spec in catalogue.types.items() if spec.banner]
        costs = {key: _type(root, catalogue, key) for key in keys}
    later, whole = _mean(costs, "render"), _mean(costs, "bytes_")
    peer, peer_bytes = _mean(costs, "peer"), _mean(costs, "peer_bytes")
    finish, worst = _mean(costs, "finish"), max(one.finish for one in costs.values())
    ratio = Goal(15, of="ratio")
    note = f"{len(keys)} types, mean; CPU"
    return Section(
        rows=[
            Row(
                "mails of a known shape, new values",
                1 / later,
                "/s",
                1 / peer,
                "Jinja2 + premailer",
                ratio,
                note,
            ),
            Row(
                "the same up to bytes", 1 / whole, "/s", 1 / peer_bytes, "the same + EmailMessage", note=note
            ),
            Row("the first mail of a shape", 1 / _mean(costs, "first"), "/s", note=note),
            Row(
                "each further recipient of a variant, up to bytes",
                finish * 1e6,
                "us",
                goal=Goal(50, "at most"),
                note=f"{note}; the worst type: {worst * 1e6:.0f} us",
            ),
        ],
        data={key: {name: getattr(one, name) * 1e6 for name in one.__slots__} for key, one in costs.items()},
    )


def _mean(costs: dict[str, _Costs], name: str) -> float:
    return fmean(getattr(one, name) for one in costs.values())


def _type(root: Path, catalogue: Catalogue, key: str) -> _Costs:
    translations = Translations(root, locales_of_program())
    renderer = Renderer(root / "templates", translations)
    optional = catalogue.types[key].optional
    with worked() as seconds:
        renderer.render(next(_views(catalogue, key, 0, 1)), unsubscribe=optional)
        first = seconds()
    for view in _views(catalogue, key, 0, _WARM):
        renderer.render(view, unsubscribe=optional)
    views = list(_views(catalogue, key, 1000, _MAILS))
    with worked() as seconds:
        contents = [renderer.render(view, unsubscribe=optional) for view in views]
        rendered = seconds()
    with worked() as seconds:
        for number, (view, content) in enumerate(zip(views, contents, strict=True)):
            headers = message.list_headers(view.key, content.language, view.sender.domain)
            sealed = message.Sealed.load(message.seal(content, headers=headers))
            message.finish(sealed, _person(view, number, optional=optional))
        finished = rendered + seconds()
    people = [_person(views[-1], number, optional=optional) for number in range(_READERS)]
    with worked() as seconds:
        for person in people:
            message.finish(sealed, person)
        finish = seconds() / _READERS
    peer, peer_bytes = _peer(root, translations, views[:_PEER_MAILS])
    return _Costs(first, rendered / _MAILS, finished / _MAILS, peer, peer_bytes, finish)


def _peer(root: Path, translations: Translations, views: list[View]) -> tuple[float, float]:
    """Seconds of CPU a mail with the templates' Jinja2 environment, untraced, and premailer; up to bytes."""
    html, text = html_environment(root / "templates"), text_environment(root / "templates")

    def bodies(view: View) -> tuple[str, str]:
        stop = _LINK if view.type.optional else ""
        address = view.instances[0].admins[0].address
        context = context_for(view, translations, recipient=address, unsubscribe=stop, decide="")
        name = view.type.template
        page = inlined(html.get_template(f"{name}.html.j2").render(context))
        return page, text.get_template(f"{name}.txt.j2").render(context)

    for view in views:
        bodies(view)
    with worked() as seconds:
        made = [bodies(view) for view in views]
        rendered = seconds()
    with worked() as seconds:
        for page, plain in made:
            mail = EmailMessage()
            mail["Subject"], mail["To"] = "Measured", "p1@crowd.example"
            mail.set_content(plain)
            mail.add_alternative(page, subtype="html", cte="quoted-printable")
            mail.as_bytes(policy=SMTP)
        whole = rendered + seconds()
    return rendered / len(views), whole / len(views)


def _views(catalogue: Catalogue, key: str, start: int, count: int) -> Iterator[View]:
    """Views of one type, each with values of its own."""
    spec = catalogue.types[key]
    for number in range(start, start + count):
        now = _START + timedelta(minutes=number)
        fields: dict[str, Any] = sample(spec, now)
        for name, field in spec.fields.items():
            if field.kind == "text" and isinstance(fields.get(name), str):
                fields[name] = f"{fields[name]} {number}"
        values, _ = parse_fields(spec, fields)
        window, sender = window_of(spec, values), catalogue.sender("default")
        entry = (
            Entry(f"e{number}@{sender.domain}", int(window.cancelled), window, now, sender)
            if window
            else None
        )
        zone, language = roots.ZONES[number % 5], _LANGUAGES[number % 4]
        reading = Reading(language, zone, ("admins",), "default", now, entry)
        yield view_of(catalogue, key, fields, (_instance(number),), reading)


def _instance(number: int) -> Instance:
    return Instance.model_validate(
        {
            "instance": f"town-{number}",
            "name": f"Town {number} Production",
            "url": f"https://town-{number}.fabrikam.example",
            "version": "9.1",
            "admins": [{"address": f"ops{number}@town.example", "name": "Operations"}],
        }
    )


def _person(view: View, number: int, *, optional: bool) -> message.Addressee:
    return message.Addressee(
        f"p{number}@town{number % 97}.example",
        f"Reader {number}",
        f"<{number:032x}@{view.sender.domain}>",
        _START + timedelta(seconds=number // 50),
        view.sender,
        unsubscribe=f"{_LINK}{number}" if optional else None,
    )
