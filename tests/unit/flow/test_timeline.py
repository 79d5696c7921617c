"""The picture of what lies ahead."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
from domain_examples import shipped

from dispatcher.flow.foresight.outlook import Fate, Row
from dispatcher.flow.foresight.timeline import timeline

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("stray", ["\x00", "\x0b", "\x1b", "\ufffe", "\ud800", "<&>"])
def test_whatever_a_ledger_holds_the_picture_is_well_formed(stray: str) -> None:
    """What XML cannot say is shown as unreadable, wherever it stands; the rest is as it was."""
    text = f"a{stray}b"
    row = Row(NOON, text, "update-scheduled", text, ("mail",), (text,), Fate.WOULD_SEND, text, subject=text)

    picture = timeline([row], [], shipped())

    said = " ".join(ET.fromstring(picture.encode()).itertext())
    assert said.count("a<&>b" if stray == "<&>" else "a\ufffdb") >= 5
