"""Each file under tests/bad holds one fault; the text beside it is what a user reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher.errors import CatalogueInvalid, RecipientsInvalid
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.files.recipient_files import load_instance

ROOT = Path(__file__).parents[3]
BAD = ROOT / "tests" / "bad"
KEYS = frozenset({"incident", "maintenance", "major-service-incident", "planned-maintenance", "scheduling"})
RECIPIENTS = sorted((BAD / "recipients").glob("*.yaml"))
CATALOGUES = sorted((BAD / "catalogue").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPIENTS, ids=lambda path: path.stem)
def test_a_bad_recipient_file_is_refused_with_all_that_is_wrong(path: Path) -> None:
    """Every problem of a recipient file is said at once, with place, key, fault and remedy."""
    with pytest.raises(RecipientsInvalid) as caught:
        load_instance(path, BAD, KEYS)

    assert str(caught.value) == path.with_suffix(".txt").read_text("utf-8").rstrip("\n")


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_a_bad_catalogue_is_refused_with_all_that_is_wrong(path: Path) -> None:
    """Every problem of a catalogue is said at once, with place, key, fault and remedy."""
    with pytest.raises(CatalogueInvalid) as caught:
        load_catalogue(path, templates=ROOT / "templates")

    assert str(caught.value) == path.with_suffix(".txt").read_text("utf-8").rstrip("\n")


def test_there_are_bad_files_of_both_kinds() -> None:
    """The two tests above have something to read."""
    assert len(RECIPIENTS) > 50
    assert len(CATALOGUES) > 30


GENERATED = {
    "too-deep": (b"[" * 10_000, "1:21: values are nested more than 20 deep. Write a flatter file."),
    "too-deep-by-dashes": (
        b"- " * 10_000,
        "1:41: values are nested more than 20 deep. Write a flatter file.",
    ),
    "too-large": (
        b"#" * (2 * 1024 * 1024 + 1),
        "1:1: the file is larger than 2048 KiB. Split it into smaller files.",
    ),
}


@pytest.mark.parametrize("name", GENERATED)
def test_a_file_that_would_cost_too_much_is_refused(name: str, tmp_path: Path) -> None:
    """A file that is too deep or too large is refused before it is taken in, by either reader."""
    raw, message = GENERATED[name]
    path = tmp_path / f"{name}.yaml"
    path.write_bytes(raw)

    with pytest.raises(RecipientsInvalid) as recipients:
        load_instance(path, tmp_path, KEYS)
    with pytest.raises(CatalogueInvalid) as catalogue:
        load_catalogue(path)

    assert str(recipients.value) == str(catalogue.value) == f"{name}.yaml:{message}"


def test_a_missing_catalogue_says_how_to_get_one(tmp_path: Path) -> None:
    """Who stands in the wrong folder is told of `init` and of --root."""
    with pytest.raises(CatalogueInvalid) as caught:
        load_catalogue(tmp_path / "catalogue.yaml")

    assert str(caught.value) == (
        f"catalogue.yaml: there is no catalogue at {tmp_path / 'catalogue.yaml'}. "
        "Run `dispatcher init DIR` to lay one out, or name its folder with --root."
    )


def test_a_missing_recipient_file_is_named(tmp_path: Path) -> None:
    """A recipient file that is not there is refused like a bad one."""
    with pytest.raises(
        RecipientsInvalid, match=r"^recipients/x\.yaml: the file cannot be read: no such file"
    ):
        load_instance(tmp_path / "recipients" / "x.yaml", tmp_path, KEYS)


def test_a_file_with_countless_faults_is_not_read_to_its_end(tmp_path: Path) -> None:
    """After a hundred faults of the text the rest is left unread."""
    path = tmp_path / "x.yaml"
    path.write_text("".join("a: 1\n" for _ in range(500)))

    with pytest.raises(RecipientsInvalid) as caught:
        load_instance(path, tmp_path, KEYS)

    assert len(caught.value.problems) == 100
