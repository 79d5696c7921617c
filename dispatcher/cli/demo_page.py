"""The page that shows every mail that the demonstration caught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dispatcher.smtp.catcher import CaughtMail


@dataclass(frozen=True, slots=True)
class _Shown:
    """One mail as the page lists it; its parts lie in files beside the page."""

    type: str
    to: str
    subject: str
    sender: str
    html: str
    text: str
    source: str


def write_page(page: Path, mails: Sequence[CaughtMail]) -> None:
    """Write the page, and beside it three files for each mail: HTML, text and source."""
    folder = page.parent / "mails"
    folder.mkdir(parents=True, exist_ok=True)
    shown = [_lay_out(folder, number, mail) for number, mail in enumerate(mails, 1)]
    groups: dict[str, list[_Shown]] = {}
    for one in shown:
        groups.setdefault(one.type, []).append(one)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True, undefined=StrictUndefined
    )
    template = environment.get_template("demo.html.j2")
    page.write_text(template.render(groups=list(groups.items()), total=len(shown)), encoding="utf-8")


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
        sender=str(message["From"]),
        html=f"mails/{stem}.html",
        text=f"mails/{stem}.txt",
        source=f"mails/{stem}.eml.txt",
    )


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return "" if part is None else str(part.get_content())
