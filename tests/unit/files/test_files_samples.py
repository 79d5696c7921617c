"""The catalogue and the recipient files that travel with the program."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.instance import Instance
from dispatcher.files.catalogue_file import load_catalogue, rough_words
from dispatcher.files.recipient_files import load_instance

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "recipients").glob("*.yaml"))


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(ROOT / "catalogue.yaml", templates=ROOT / "templates")


@pytest.fixture(scope="module")
def instances(catalogue: Catalogue) -> dict[str, Instance]:
    loaded = [load_instance(path, ROOT, catalogue.audience_keys) for path in FILES]
    return {instance.id: instance for instance in loaded}


def test_the_catalogue_is_in_order(catalogue: Catalogue) -> None:
    """The shipped catalogue has no problem, its templates exist, and a rough look gives the same words."""
    assert "planned-maintenance" in catalogue.types
    assert rough_words(ROOT / "catalogue.yaml") == catalogue.audience_keys


def test_a_rough_look_at_no_catalogue_gives_no_words(tmp_path: Path) -> None:
    """A catalogue that is missing, or no mapping, tells nothing."""
    (tmp_path / "list.yaml").write_text("- types\n")

    assert rough_words(tmp_path / "none.yaml") == rough_words(tmp_path / "list.yaml") == frozenset()


def test_the_samples_show_what_there_is(instances: dict[str, Instance]) -> None:
    """Every region, several languages, a sandbox, an instance behind, all roles, narrowed entries."""
    everybody = [person for instance in instances.values() for person in instance.recipients]

    assert len(instances) == len(FILES) == 8
    assert {one.region for one in instances.values()} >= {"emea", "americas", "apac", "japan"}
    assert {one.language for one in instances.values()} >= {"en", "de", "fr", "ja", "es", "zh-Hans"}
    assert {person.language for person in everybody} >= {"pt", "it", "zh-Hant"}
    assert instances["contoso-sandbox"].sandbox_of == "contoso-prod"
    assert instances["adventure-works-prod"].version == "8.0"
    assert any(person.only for person in everybody)
    assert any(person.except_ for person in everybody)
    assert any(person.until for person in everybody)


def test_the_contract_of_a_recipient_file(instances: dict[str, Instance]) -> None:
    """Each key of a full file arrives where it belongs, each person with the line that names them."""
    contoso = instances["contoso-prod"]
    lines = (ROOT / "recipients" / "contoso-prod.yaml").read_text().splitlines()

    assert (contoso.name, contoso.kind, contoso.region) == ("Contoso Production", "production", "emea")
    assert (contoso.language, contoso.time_zone, contoso.version) == ("de", "Europe/Berlin", "9.1")
    assert contoso.url == "https://contoso.example.com"
    assert contoso.file == "recipients/contoso-prod.yaml"
    assert [person.address for person in contoso.admins] == [
        "admin@contoso.example",
        "oncall@contoso.example",
    ]
    assert (contoso.admins[1].name, contoso.admins[1].language) == ("On-call admin", "en")
    assert contoso.admins[1].time_zone == "America/New_York"
    assert contoso.recipients[0].only == ["maintenance", "major-service-incident"]
    assert contoso.recipients[0].until == date(2027, 3, 31)
    for role in ("admins", "global_admins", "recipients", "users", "partners"):
        for person in getattr(contoso, role):
            assert person.address in lines[person.line - 1]


def test_an_id_and_one_admin_are_enough(instances: dict[str, Instance]) -> None:
    """The shortest file reads English, by UTC, as a production instance."""
    shortest = instances["fourth-coffee-prod"]

    assert (shortest.language, shortest.time_zone, shortest.kind) == ("en", "UTC", "production")
    assert shortest.title == "fourth-coffee-prod"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_sample_names_its_schema_and_only_example_domains(path: Path) -> None:
    """An editor finds the schema; no sample can reach a real mailbox."""
    text = path.read_text("utf-8")
    first = text.splitlines()[0]
    domains = {word.rpartition("@")[2].strip("]},") for word in text.split() if "@" in word}

    assert first == "# yaml-language-server: $schema=../docs/schemas/recipients.schema.json"
    assert (path.parent / first.rpartition("=")[2]).is_file()
    assert all(domain.endswith(".example") for domain in domains)
