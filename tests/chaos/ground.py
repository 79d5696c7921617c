"""The ground of a storm: a root with catalogue, templates and recipient lists; and the events."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from program import PROJECT

from chaos.options import Options
from chaos.plan import HELD_TYPE, Posting

SOURCE = "/chaos"
_FIELDS: dict[str, dict[str, Any]] = {
    "unplanned-maintenance": {"summary": "A switch is replaced", "start": "2090-03-06T21:00:00Z"},
    "planned-maintenance": {
        "summary": "Storage is replaced",
        "start": "2090-03-06T21:00:00Z",
        "end": "2090-03-07T01:00:00Z",
    },
    "general-awareness": {"headline": "A second factor at sign-in", "body": "New users are asked for it."},
    "update-succeeded": {
        "update": "update-2027-1",
        "version": "10.0",
        "completed_at": "2027-03-06T21:00:00Z",
    },
}


def recipients_of(number: int, options: Options) -> list[str]:
    """Whom the event of that number is for; nobody is in two of them."""
    return [f"p{one:04}@i{number:03}.example" for one in range(options.recipients)]


def event_id(posting: Posting) -> str:
    """Its id in the name of `SOURCE`."""
    return f"event-{posting.number:03}"


def cloud_event(posting: Posting) -> dict[str, Any]:
    """What is posted."""
    return {
        "specversion": "1.0",
        "id": event_id(posting),
        "source": SOURCE,
        "type": posting.type,
        "data": {"instances": [f"i{posting.number:03}"], "fields": _FIELDS[posting.type]},
    }


def lay_out(root: Path, options: Options) -> Path:
    """Write the root."""
    (root / "recipients").mkdir(parents=True)
    catalogue = (PROJECT / "catalogue.yaml").read_text(encoding="utf-8")
    key = f"  {HELD_TYPE}:\n"
    assert catalogue.count(key) == 1
    catalogue = catalogue.replace(key, f"{key}    on_uncertain: hold\n")
    (root / "catalogue.yaml").write_text(catalogue, encoding="utf-8")
    shutil.copytree(PROJECT / "templates", root / "templates")
    for number in range(options.events):
        first, *others = recipients_of(number, options)
        lines = [f"instance: i{number:03}", "region: emea", f"admins: [{first}]"]
        lines += ["recipients:", *(f"  - {address}" for address in others)] if others else []
        (root / "recipients" / f"i{number:03}.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root
