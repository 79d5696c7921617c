"""The figures of docs/mail-quality.md: of our mails, or of any folder of HTML files.

    python -m mail.measure          # ours, the worst of all types and languages
    python -m mail.measure DIR      # a line for each HTML file of a folder

Each file of a folder is put into a message of the same form as ours, with w3m's dump as its text.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from email.message import EmailMessage
from pathlib import Path

from mail.checkers import Look, browser, read_aloud, spamassassin, support, validator
from mail.mails import rendered, written
from mail.rspamd import rspamd
from mail.test_sizes import style_bytes

COLUMNS = (
    *("HTML bytes", "style bytes", "validator errors", "axe rules broken", "px too wide"),
    *("pairs", "without style", "contrast light", "dark", "inverted", "SpamAssassin", "rspamd"),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one file, in the order of the columns."""

    html: int
    style: int
    errors: int
    axe: int
    overflow: int
    pairs: int
    unstyled: int
    light: float
    dark: float
    inverted: float
    spamassassin: float
    rspamd: float


#: Of contrast less is worse.
_LEAST = {"light", "dark", "inverted"}


def main() -> int:
    """Print a table in Markdown."""
    if len(sys.argv) > 2:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if len(sys.argv) == 2:
            _copied(Path(sys.argv[1]), folder)
            rows = measured(folder)
        else:
            found = measured(written(rendered(), folder))
            rows = {f"the worst of {len(found)} mails": worst(found.values())}
    _say(" | ".join(("| file", *COLUMNS)) + " |")
    _say("|---" * (len(COLUMNS) + 1) + "|")
    for name, figures in sorted(rows.items()):
        values = (
            _shown(field.name, value) for field, value in zip(fields(figures), astuple(figures), strict=True)
        )
        _say(" | ".join((f"| {name}", *values)) + " |")
    return 0


def _shown(name: str, value: float) -> str:
    return f"{value + 0:,.2f}" if name in _LEAST | {"spamassassin", "rspamd"} else f"{value:,}"


def measured(folder: Path) -> dict[str, Figures]:
    """The figures of each HTML file of a folder that has a message for each."""
    errors, gaps, looks = validator(folder), support(folder), browser(folder)
    scores, symbols = spamassassin(folder), rspamd(folder)
    found = {}
    for name, look in looks.items():
        html, message = (folder / name).read_text(encoding="utf-8"), name.replace(".html", ".eml")
        found[name] = Figures(
            html=len(html.encode()),
            style=style_bytes(html),
            errors=len(errors[name]),
            axe=len({one["rule"] for one in look["violations"]}),
            overflow=look["overflow"],
            pairs=len(gaps[name]["whole"]),
            unstyled=len(gaps[name]["unstyled"]),
            light=_lowest(look, "light"),
            dark=_lowest(look, "dark"),
            inverted=_lowest(look, "negative", "lightness"),
            spamassassin=scores[message][0],
            rspamd=symbols[message][0],
        )
    return found


def worst(rows: Iterable[Figures]) -> Figures:
    """In each column the worst of all rows."""
    every = list(rows)
    picks: dict[str, Callable[[Iterable[float]], float]] = {
        field.name: min if field.name in _LEAST else max for field in fields(Figures)
    }
    return Figures(**{name: pick(getattr(row, name) for row in every) for name, pick in picks.items()})  # type: ignore[arg-type]


def _lowest(look: Look, *kinds: str) -> float:
    return min(look["contrast"][kind]["all"]["ratio"] for kind in kinds)


def _copied(source: Path, folder: Path) -> None:
    for file in sorted(source.glob("*.html")):
        html = file.read_text(encoding="utf-8")
        (folder / file.name).write_text(html, encoding="utf-8")
        (folder / f"{file.stem}.eml").write_bytes(_message(html, read_aloud(file)))


def _message(html: str, text: str) -> bytes:
    message = EmailMessage()
    message["From"] = "Fabrikam Business Cloud <notices@fabrikam.example>"
    message["To"] = "Kim Admin <admin@contoso.example>"
    message["Subject"] = "What is going to happen to Contoso Production"
    message["Date"] = "Sat, 20 Feb 2027 09:00:00 +0000"
    message["Message-ID"] = "<measured@fabrikam.example>"
    message.set_content(text, cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    return message.as_bytes()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
