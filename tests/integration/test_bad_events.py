"""One bad event and one bad template per fault, each with the message that a user reads."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from lint_root import small_root
from program import PROJECT, UNMEASURED, dispatcher

from dispatcher.domain.event import Selection
from dispatcher.errors import EventInvalid
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.submit import Submission, Submit
from dispatcher.ledger import Ledger
from dispatcher.queue.bell import Bell

BAD = PROJECT / "tests" / "bad"
EVENTS = sorted((BAD / "events").glob("*.json"))
TEMPLATES = sorted((BAD / "templates").glob("*.j2"))


@pytest.fixture
async def submit(sqlite_ledger: Ledger, tmp_path: Path) -> AsyncIterator[Submit]:
    catalogue = load_catalogue(PROJECT / "catalogue.yaml")
    recipients = RecipientStore(PROJECT, cache=None, audience_keys=catalogue.audience_keys)
    bell = Bell(f"unix://{tmp_path}/nobody.sock", token=lambda: "word")
    yield Submit(catalogue, recipients, sqlite_ledger, bell)
    await bell.close()


@pytest.mark.parametrize("file", EVENTS, ids=lambda path: path.stem)
async def test_a_bad_event_is_refused_with_its_message(submit: Submit, file: Path) -> None:
    """The text beside the event is what its sender reads."""
    event = orjson.loads(file.read_bytes())
    chosen = Selection("instances", tuple(event["data"]["instances"]))
    submission = Submission(
        event["source"], event["id"], event["type"], chosen, None, event["data"]["fields"]
    )
    with pytest.raises(EventInvalid) as caught:
        await submit([submission])

    assert f"{caught.value}\n" == file.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda path: path.stem)
def test_a_bad_template_is_reported_with_its_message(tmp_path: Path, file: Path) -> None:
    """The text beside the template is what `check` prints of it."""
    broken = small_root(tmp_path / "root", "general-awareness")
    shutil.copyfile(file, broken / "templates" / "awareness.html.j2")
    done = dispatcher(broken, "check", **UNMEASURED)

    assert done.code == 2
    assert done.out == file.with_suffix(".txt").read_text(encoding="utf-8")
