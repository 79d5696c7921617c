"""What fifteen mail programs support (caniemail.com) over every mail's HTML."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import dispatcher.mail
from dispatcher.mail.clients import ALLOWED as PROGRAM_ALLOWED
from mail.checkers import PROGRAMS, Support, support

DATA = Path(dispatcher.mail.__file__).parent / "data"
MOST = 30
MOST_UNSTYLED = 27
ALLOWED = yaml.safe_load((Path(__file__).parent / "allowed.yaml").read_text(encoding="utf-8"))
PAIRS = {(entry["feature"], program) for entry in ALLOWED for program in entry["programs"]}


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Support]:
    return support(folder)


def test_no_mail_has_more_gaps_than_its_measure(found: dict[str, Support]) -> None:
    """At most 30 pairs of a feature and a program without it, and 27 where `<style>` is taken away."""
    counted = {name: (len(one["whole"]), len(one["unstyled"])) for name, one in found.items()}

    assert {name: n for name, n in counted.items() if n[0] > MOST or n[1] > MOST_UNSTYLED} == {}


def test_every_gap_is_on_the_list(found: dict[str, Support]) -> None:
    """allowed.yaml gives the reason of each pair, and names none that no mail has any more."""
    pairs = {
        (feature, program) for one in found.values() for feature, program in one["whole"] + one["unstyled"]
    }

    assert pairs - PAIRS == set()
    assert PAIRS - pairs == set()


def test_the_list_says_why() -> None:
    """Each entry has a reason, and names programs that are checked."""
    assert all(len(entry["reason"]) > 20 for entry in ALLOWED)
    assert {program for _, program in PAIRS} <= set(PROGRAMS)


def test_the_program_allows_the_same() -> None:
    """What `dispatcher check` lets pass is what is let pass here."""
    known = json.loads((DATA / "caniemail.json").read_text(encoding="utf-8"))["features"]

    assert {known[slug]["title"] for slug in PROGRAM_ALLOWED} == {entry["feature"] for entry in ALLOWED}


def test_the_data_sees_a_poor_mail(poor: Path) -> None:
    """The control has more gaps than a mail may have."""
    one = support(poor)["poor.html"]

    assert len(one["whole"]) > MOST
    assert len(one["unstyled"]) > MOST_UNSTYLED
