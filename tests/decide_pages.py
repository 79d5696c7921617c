"""Every page behind a link to decide, in every language, as files for checkers and for eyes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from program import PROJECT
from starlette.responses import Response

from dispatcher.domain.language import LANGUAGES
from dispatcher.domain.plan import Decision, Move, Plan, PlanKey, PlanState
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.flow.decide import Answer, Sight, Standing
from dispatcher.flow.decide_links import Asker
from dispatcher.mail.translations import Translations
from dispatcher.web.decide import answer_page, sight_page
from dispatcher.web.page import Pages

NOW = datetime(2027, 1, 5, 8, tzinfo=UTC)
DATES = tuple(datetime(2027, 3, 6, 21, tzinfo=UTC) + timedelta(weeks=week) for week in range(3))
KEY = PlanKey("major-update", "update-2027-1", "contoso-prod")
PLAN = Plan(
    key=KEY,
    state=PlanState.SCHEDULED,
    anchor=DATES[0],
    alternate_at=DATES[1],
    revision=1,
    facts={"version": "10.0", "offered_dates": [date.isoformat() for date in DATES]},
    cadence_digest="",
    said_at=NOW,
    made_at=NOW,
    updated_at=NOW,
    id="pln_1",
)


def sights(language: str) -> Iterator[tuple[str, Sight]]:
    """Each page's name, and what it shows."""
    asker = Asker("pln_1", 1, "admin@contoso.example", "dlv_1", language)
    bare = Sight(Standing.OPEN, asker, PLAN, "update-scheduled", "Contoso Production", "Australia/Adelaide")
    full = replace(bare, offered=DATES, approvable=True, form="1.form.mac")
    approved = replace(full, approvable=False, plan=replace(PLAN, state=PlanState.APPROVED))
    mine = Move(
        KEY, "approved", "evt_1", NOW, DATES[0], DATES[0], 1, decision=Decision("ada.admin@contoso.example")
    )
    moved = replace(mine, turn="rescheduled", before=DATES[1], revision=2)
    later = replace(bare, plan=replace(PLAN, state=PlanState.APPROVED, revision=2))
    yield "open", full
    yield "open-no-dates", replace(full, offered=())
    yield (
        "open-mandatory",
        replace(full, approvable=False, plan=replace(PLAN, facts={**PLAN.facts, "mandatory": True})),
    )
    yield "open-approved", approved
    yield "done", replace(approved, standing=Standing.DONE, decided=mine)
    yield "done-moved", replace(later, standing=Standing.DONE, decided=moved)
    yield "already", replace(approved, standing=Standing.ALREADY, decided=mine)
    yield "already-moved", replace(later, standing=Standing.ALREADY, decided=moved)
    for standing in Standing:
        if standing not in {Standing.OPEN, Standing.DONE, Standing.ALREADY}:
            yield standing.value, replace(bare, standing=standing)


def write_pages(folder: Path) -> list[Path]:
    """Write ``<page>.<language>.html`` for each page and language; gives their paths."""
    catalogue = load_catalogue(PROJECT / "catalogue.yaml", templates=PROJECT / "templates")
    pages = Pages(catalogue, Translations(PROJECT))
    written = []
    for language in LANGUAGES:
        answers: dict[str, Response] = {}
        for name, sight in sights(language):
            answers[name] = sight_page(pages, sight)
            if name == "open":
                answers |= {
                    f"refused-{why}": answer_page(pages, Answer(sight, why))
                    for why in ("unread", "stale", "unoffered", "same")
                }
        for name, answer in answers.items():
            path = folder / f"{name}.{language}.html"
            path.write_bytes(bytes(answer.body))
            written.append(path)
    return written
