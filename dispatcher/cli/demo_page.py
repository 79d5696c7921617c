"""The page that shows every mail that the demonstration caught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from itertools import count
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dispatcher.smtp.catcher import CaughtMail


@dataclass(frozen=True, slots=True)
class _Shown:
    """One mail as the page lists it; its parts lie in files beside the page."""

    type: str
    to: str
    subject: str
    date: str
    sender: str
    html: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Group:
    """Mails that belong together under a title, in the order in which they came."""

    title: str
    mails: Sequence[CaughtMail]


def write_page(page: Path, stories: Sequence[Group], mails: Sequence[CaughtMail]) -> None:
    """Write the page, and beside it three files for each mail: HTML, text and source.

    Args:
        page: The file.
        stories: Are shown first, each as it went.
        mails: The other mails; they are shown by type.
    """
    folder = page.parent / "mails"
    folder.mkdir(parents=True, exist_ok=True)
    numbers = count(1)
    groups = [
        (story.title, [_lay_out(folder, next(numbers), mail) for mail in story.mails]) for story in stories
    ]
    by_type: dict[str, list[_Shown]] = {}
    for one in (_lay_out(folder, next(numbers), mail) for mail in mails):
        by_type.setdefault(one.type, []).append(one)
    groups += by_type.items()
    total = sum(len(shown) for _, shown in groups)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True, undefined=StrictUndefined
    )
    template = environment.get_template("demo.html.j2")
    page.write_text(template.render(groups=groups, total=total), encoding="utf-8")


def _lay_out(folder: Path, number: int, mail: CaughtMail) -> _Shown:
    message = mail.message
    stem = f"{number:04d}"
    for suffix, kind in (("html", "html"), ("txt", "plain")):
        (folder / f"{stem}.{suffix}").write_text(_body(message, kind), encoding="utf-8")
    (folder / f"{stem}.eml.txt").write_bytes(mail.path.read_bytes())
    return _Shown(
        type=str(message["List-Id"]).strip("<>").partition(".")[0],
        to=str(message["To"]),
        subject=str(message["Subject"]),
        date=str(message["Date"]),
        sender=str(message["From"]),
        html=f"mails/{stem}.html",
        text=f"mails/{stem}.txt",
        source=f"mails/{stem}.eml.txt",
    )


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return "" if part is None else str(part.get_content())
