from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from dispatcher.domain.catalogue import Banner, Calendar, CommunicationType, MailWhen, Palette
from dispatcher.domain.house import Sender, Service
from dispatcher.domain.instance import Instance
from dispatcher.domain.window import Window
from dispatcher.mail.subject import SUBJECT_LENGTH, cut, subject
from dispatcher.mail.translations import Translations
from dispatcher.mail.view import View

FIELDS = {
    "what": {"kind": "text", "label": "What"},
    "start": {"kind": "datetime", "label": "Start"},
    "day": {"kind": "date", "label": "Day"},
    "status": {"kind": "choice", "label": "Status", "choices": {"done": "All done"}},
}
EMPTY = dict.fromkeys(FIELDS)
TEXTS = Translations(Path("/nowhere"))


def view_of(text: str, names: tuple[str | None, ...] = ("Contoso",), **fields: Any) -> View:
    banner = Banner(
        label="x",
        background="#FFFFFF",
        text="#000000",
        dark=Palette(background="#000000", text="#FFFFFF"),
        cue="■",
    )
    spec = CommunicationType.model_validate(
        {"title": "T", "banner": "x", "audience": {}, "subject": text, "template": "x", "fields": FIELDS}
    )
    instances = tuple(
        Instance.model_validate({"instance": f"i-{number}", "name": name, "admins": ["a@contoso.example"]})
        for number, name in enumerate(names, 1)
    )
    sender = Sender(address="notices@fabrikam.example", name="Fabrikam")
    now = datetime(2027, 2, 20, 9, tzinfo=UTC)
    service = Service(name="Cloud")
    values = {**EMPTY, **fields}
    return View(
        "t", spec, banner, service, sender, instances, values, "en", "Europe/Berlin", ("admins",), now
    )


def test_placeholders_are_filled_by_kind() -> None:
    """Moments are short and local, choices are their labels, instance and service are known."""
    view = view_of(
        "{status} {start} {day} {instance} {service}",
        start=datetime(2027, 3, 6, 21, tzinfo=UTC),
        day=date(2027, 3, 7),
        status="done",
    )

    assert subject(view, TEXTS) == "All done 6 Mar 2027, 22:00 CET 7 Mar 2027 Contoso Cloud"


def test_a_window_that_moved_or_is_off_has_its_own_subject() -> None:
    """Cancelled counts before moved; a type without such subjects keeps its own."""
    texts = {"cancelled_subject": "Off: {start}", "moved_subject": "Now: {start}"}
    calendar = Calendar(start="start", end="start", cancelled="status", **texts)
    start = datetime(2027, 3, 6, 21, tzinfo=UTC)
    plain = view_of("Work: {start}", start=start)
    moved = replace(plain, moved_from=Window(start, start + timedelta(hours=1)))

    def said(view: View, calendar: Calendar) -> str:
        return subject(replace(view, type=view.type.model_copy(update={"calendar": calendar})), TEXTS)[:4]

    off = replace(moved, fields={**moved.fields, "status": True})
    assert [said(view, calendar) for view in (plain, moved, off)] == ["Work", "Now:", "Off:"]
    bare = Calendar(start="start", end="start", cancelled="status")
    assert [said(view, bare) for view in (plain, moved, off)] == ["Work"] * 3


def test_what_is_not_mailed_yet_has_no_subject_of_a_mail() -> None:
    """The subject of the mail says that it is over; the notice of an open one must not."""
    view = view_of("{what} is over: {instance}", what="Trouble")
    open_ = replace(
        view, type=view.type.model_copy(update={"mail_when": MailWhen(field="day", otherwise="Later.")})
    )

    assert subject(open_, TEXTS) == "T: Contoso"
    assert subject(replace(open_, fields={**open_.fields, "day": date(2027, 3, 1)}), TEXTS) == (
        "Trouble is over: Contoso"
    )


def test_an_instance_without_a_name_is_called_by_its_id() -> None:
    """The id stands where there is no name."""
    assert subject(view_of("Work: {instance}", (None,)), TEXTS) == "Work: i-1"


def test_several_instances_are_counted() -> None:
    """A grouped mail names the first instance and says how many more there are."""
    view = view_of("Work: {instance}", ("Contoso Production", "b", "c", "d"))

    assert subject(view, TEXTS) == "Work: Contoso Production and 3 more"


def test_a_long_subject_loses_text_and_never_its_date() -> None:
    """Texts of the event are cut to fit; the date and the words around it stay whole."""
    view = view_of(
        "Work on {start}: {what}, {instance}",
        ("C" * 200,),
        what="x" * 400,
        start=datetime(2027, 3, 6, 21, tzinfo=UTC),
    )
    line = subject(view, TEXTS)

    assert len(line) <= SUBJECT_LENGTH
    assert line.startswith("Work on 6 Mar 2027, 22:00 CET: xxx")
    assert line.count("…") == 2


def test_data_is_never_a_placeholder_or_a_second_line() -> None:
    """Braces and percent signs of an event are text, and no line break gets into a header."""
    view = view_of("{what}: {instance}", ("a\u2003b",), what="{start} %s {0.__class__}\r\nBcc: x@y.example")

    assert subject(view, TEXTS) == "{start} %s {0.__class__} Bcc: x@y.example: a b"


def test_a_cut_text_ends_at_a_word_of_its_own() -> None:
    """What is cut ends with an ellipsis, not with a comma or a space."""
    assert cut("one, two", 5) == "one…"
    assert cut("one", 5) == "one"
