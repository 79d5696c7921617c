"""What lies ahead as a picture: a line for each subject and instance, a mark for each thing that is told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from xml.sax.saxutils import escape

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.plan import Plan
from dispatcher.flow.foresight.outlook import ASIDE, Fate, Row, zone_of
from dispatcher.flow.foresight.told_ahead import named, summary

#: Lines that are drawn; nobody reads more of them on one page.
MOST = 60
_WIDTH, _LEFT, _RIGHT, _TOP, _LANE = 1200, 250, 40, 104, 68
_MONTH_ROOM = 46  # px below which only some months are named
_DATE_ROOM = 140  # px that the words at a plan's date take
_LABEL_ROOM = 48  # px that a label under a mark takes
_STYLE = """
text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#242424}
.page{fill:#fff}.title{font-size:18px;font-weight:600}.soft{fill:#616161}.small{font-size:11px}
.grid{stroke:#e0e0e0}.lane{stroke:#bdbdbd}.anchor{stroke:#0f6cbd;stroke-width:2}.date{fill:#115ea3}
.mark{stroke:#242424;stroke-width:1.5}.hollow{fill:#fff}
.pale{stroke:#8a8a8a;fill:none}.bad{stroke:#b10e1c;fill:none}
@media (prefers-color-scheme:dark){text{fill:#f5f5f5}.page{fill:#1f1f1f}.soft{fill:#adadad}
.grid{stroke:#383838}.lane{stroke:#616161}.anchor{stroke:#62abf5}.date{fill:#62abf5}.mark{stroke:#f5f5f5}.hollow{fill:#1f1f1f}
.pale{stroke:#8a8a8a}.bad{stroke:#f1707b}}
"""
#: What XML 1.0 cannot say, not even escaped.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PALE = frozenset({Fate.SKIPPED, Fate.REFUSED, *ASIDE})
_LEGEND = (
    (Fate.WOULD_SEND, "mail"),
    (Fate.RECORDED, "shown, no mail"),
    (Fate.SKIPPED, "skipped or void"),
    (Fate.HELD, "held"),
    (Fate.REFUSED, "refused"),
    (Fate.OWED, "owed"),
)


@dataclass(frozen=True, slots=True)
class _Axis:
    """From moments to pixels."""

    first: datetime
    last: datetime

    def x(self, moment: datetime) -> float:
        share = (moment - self.first) / (self.last - self.first)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def timeline(rows: Sequence[Row], plans: Sequence[Plan], catalogue: Catalogue) -> str:
    """The rows as an SVG picture, which follows the reader's light or dark mode.

    Args:
        rows: At least one.
        plans: Whose dates are marked where their subject and instance have a line.
        catalogue: Gives the colours of the banners.
    """
    lanes: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        lanes.setdefault((row.subject or row.type, row.instance), []).append(row)
    dates = {(plan.key.subject, plan.key.instance): plan for plan in plans}
    axis = _axis(rows, [plan.anchor for key, plan in dates.items() if key in lanes])
    shown = sorted(lanes)[:MOST]
    bottom = _TOP + _LANE * len(shown) + 12
    height = bottom + 64
    parts = [*_head(rows, axis, height, catalogue), *_months(axis, bottom)]
    for number, key in enumerate(shown):
        parts += _lane(key, lanes[key], dates.get(key), axis, _TOP + _LANE * number + 34)
    parts += _foot(bottom, len(lanes) - len(shown))
    return "\n".join([*parts, "</svg>", ""])


def _axis(rows: Sequence[Row], anchors: Sequence[datetime]) -> _Axis:
    moments = [*(row.at.astimezone(UTC) for row in rows), *anchors]
    margin = max((max(moments) - min(moments)) * 0.03, timedelta(hours=6))
    return _Axis(min(moments) - margin, max(moments) + margin)


def _head(rows: Sequence[Row], axis: _Axis, height: int, catalogue: Catalogue) -> Iterator[str]:
    span = f"{axis.first:%Y-%m-%d} to {axis.last:%Y-%m-%d}"
    names = sorted({row.instance for row in rows})
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-labelledby="title description">'
    )
    yield f'<title id="title">What lies ahead, {span}</title>'
    yield f'<desc id="description">{_said(summary(rows))}; about {_said(named(names))}.</desc>'
    yield f"<style>{_STYLE}{_colours(catalogue)}</style>"
    yield f'<rect class="page" width="{_WIDTH}" height="{height}"/>'
    yield _text(24, 36, "What lies ahead", "title")
    yield _text(24, 58, f"{span} · {summary(rows)}", "soft")


def _colours(catalogue: Catalogue) -> str:
    """A mark knows its type; its colour is that of the type's banner."""
    types = catalogue.types.items()
    light = "".join(f".t-{key}{{fill:{_fill(catalogue, spec.banner, dark=False)}}}" for key, spec in types)
    dark = "".join(f".t-{key}{{fill:{_fill(catalogue, spec.banner, dark=True)}}}" for key, spec in types)
    return f"{light}\n@media (prefers-color-scheme:dark){{{dark}}}\n"


def _fill(catalogue: Catalogue, banner: str | None, *, dark: bool) -> str:
    found = catalogue.banners.get(banner or "")
    if found is None:
        return "#8a8a8a"
    return found.dark.background if dark else found.background


def _months(axis: _Axis, bottom: int) -> Iterator[str]:
    days = (axis.last - axis.first).days
    moments = list(_firsts(axis, days))
    every = max(1, -(-len(moments) * _MONTH_ROOM // (_WIDTH - _LEFT - _RIGHT)))
    for number, moment in enumerate(moments):
        x = axis.x(moment)
        yield f'<line class="grid" x1="{x}" y1="{_TOP - 6}" x2="{x}" y2="{bottom}"/>'
        if number % every == 0:
            yield _text(x + 3, _TOP - 10, f"{moment:%b %Y}" if days > 62 else f"{moment:%d %b}", "soft small")


def _firsts(axis: _Axis, days: int) -> Iterator[datetime]:
    """The first of each month; of a short time each Monday, of a few days each day."""
    day = axis.first.date()
    while day <= axis.last.date():
        moment = datetime.combine(day, time.min, UTC)
        wanted = day.day == 1 if days > 62 else day.weekday() == 0 if days > 12 else True
        if wanted and moment >= axis.first:
            yield moment
        day = date.fromordinal(day.toordinal() + 1)


def _lane(key: tuple[str, str], rows: Sequence[Row], plan: Plan | None, axis: _Axis, y: int) -> Iterator[str]:
    subject, instance = key
    yield f"<g><title>{_said(f'{subject} at {instance}')}</title>"
    yield _text(24, y + 1, _cut(instance or "–"), "")
    yield _text(24, y + 16, _cut(subject), "soft small")
    yield f'<line class="lane" x1="{_LEFT}" y1="{y}" x2="{_WIDTH - _RIGHT}" y2="{y}"/>'
    if plan is not None:
        yield from _date(plan, rows[0], axis, y)
    # What is told comes last, and so on top; its words come first, where room is short.
    ordered = sorted(rows, key=lambda one: (one.status in _PALE, one.at))
    for row in reversed(ordered):
        yield _mark(row, axis.x(row.at.astimezone(UTC)), y)
    yield from _labels(ordered, axis, y)
    yield "</g>"


def _labels(rows: Sequence[Row], axis: _Axis, y: int) -> Iterator[str]:
    """The words under the marks, in two lines, as far as there is room."""
    taken: tuple[list[float], list[float]] = ([], [])
    for row in rows:
        x = axis.x(row.at.astimezone(UTC))
        for level, there in enumerate(taken):
            if all(abs(x - other) >= _LABEL_ROOM for other in there):
                there.append(x)
                style = "soft small" if row.status in _PALE else "small"
                yield _text(x, y + 20 + 11 * level, _label(row), style, middle=True)
                break


def _date(plan: Plan, row: Row, axis: _Axis, y: int) -> Iterator[str]:
    x = axis.x(plan.anchor)
    there = plan.anchor.astimezone(zone_of("UTC") if row.at.tzinfo is None else row.at.tzinfo)
    yield f'<line class="anchor" x1="{x}" y1="{y - 17}" x2="{x}" y2="{y + 9}"/>'
    words = f"{there:%d %b %H:%M} · {plan.state.value}"
    last = x > _WIDTH - _RIGHT - _DATE_ROOM / 2
    yield _text(x, y - 20, words, "date small", middle=not last, end=last)


def _mark(row: Row, x: float, y: float) -> str:
    words = _said(f"{row.at:%Y-%m-%d %H:%M} {row.type} {row.status.value}: {row.reason}")
    people = f" – to {_said(named(row.to))}" if row.to else ""
    return f"<g><title>{words}{people}</title>{_shape(row, x, y)}</g>"


def _shape(row: Row, x: float, y: float) -> str:
    """Each fate has a form of its own, so that no colour is needed to tell them apart."""
    return _form(row.status, x, y, f"t-{row.type}", mailed=bool(row.to))


def _form(fate: Fate, x: float, y: float, fill: str, *, mailed: bool) -> str:
    if fate is Fate.WOULD_SEND and mailed:
        return f'<circle class="mark {fill}" cx="{x}" cy="{y}" r="7"/>'
    if fate in {Fate.WOULD_SEND, Fate.RECORDED}:
        return f'<circle class="mark hollow" cx="{x}" cy="{y}" r="5"/>'
    if fate is Fate.OWED:
        return f'<path class="mark {fill}" d="M{x} {y - 8}l8 14h-16z"/>'
    if fate is Fate.HELD:
        return f'<path class="mark {fill}" d="M{x} {y - 8}l8 8l-8 8l-8 -8z"/>'
    style = "mark bad" if fate is Fate.REFUSED else "mark pale"
    return f'<path class="{style}" d="M{x - 5} {y - 5}l10 10m0 -10l-10 10"/>'


def _label(row: Row) -> str:
    """The step without the words that the line says anyhow: ``reminder-90`` is ``90 d``."""
    words = row.step or row.type.removeprefix("update-")
    days = words.removeprefix("reminder-")
    return f"{days} d" if days.isdecimal() else words[:12]


def _foot(y: int, more: int) -> Iterator[str]:
    x = 24.0
    for fate, words in _LEGEND:
        yield _form(fate, x + 8, y + 28, "hollow", mailed=True)
        yield _text(x + 22, y + 32, words, "soft")
        x += 40 + 8 * len(words)
    if more:
        yield _text(_WIDTH - _RIGHT, y + 32, f"and {more} more lines that are not drawn", "soft", end=True)


def _said(words: str) -> str:
    return escape(_NO_XML.sub("\ufffd", words))


def _text(x: float, y: float, words: str, style: str, *, middle: bool = False, end: bool = False) -> str:
    anchor = ' text-anchor="middle"' if middle else ' text-anchor="end"' if end else ""
    return f'<text x="{x}" y="{y}" class="{style}"{anchor}>{_said(words)}</text>'


def _cut(words: str) -> str:
    return words if len(words) <= 30 else f"{words[:29]}…"
