"""Every page that a reader of mail may open, in every language, as files for checkers and for eyes."""

from __future__ import annotations

from pathlib import Path

from program import PROJECT

from dispatcher.domain.language import LANGUAGES
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.flow.choices import Chooser, Place, Standing, optional_types
from dispatcher.mail.translations import Translations
from dispatcher.web.choices import standing_page, stopped_page
from dispatcher.web.page import Pages

ADDRESS = "ops.international@contoso.example"
PLACES = (
    Place("contoso-prod", "Contoso Production", ("admins", "recipients")),
    Place("contoso-sandbox", "Contoso Sandbox", ("global_admins",)),
    Place("northwind-prod", "Northwind Traders", ("users", "partners")),
)


def write_pages(folder: Path) -> list[Path]:
    """Write ``<page>.<language>.html`` for each page and language; gives their paths."""
    catalogue = load_catalogue(PROJECT / "catalogue.yaml", templates=PROJECT / "templates")
    pages = Pages(catalogue, Translations(PROJECT))
    optional = sorted(optional_types(catalogue))
    bound = [key for key, spec in catalogue.types.items() if not spec.optional and not spec.audience.nobody]
    admins = ["admin@contoso.example", "root@contoso.example"]
    some = {key: key != optional[0] for key in optional}
    full = Standing(some, bound, PLACES, 1_204, admins)
    empty = Standing(dict.fromkeys(optional, True), (), (), 0, ())
    written = []
    for language in LANGUAGES:
        chooser = Chooser(ADDRESS, "general-awareness", language)
        answers = {
            "choices": standing_page(pages, catalogue, chooser, full),
            "saved": standing_page(pages, catalogue, chooser, full, saved=True),
            "unknown": standing_page(pages, catalogue, chooser, empty),
            "stopped": stopped_page(pages, catalogue, chooser),
            **{name: pages.answer(name, language) for name in ("invalid", "unread", "away")},
        }
        for name, answer in answers.items():
            path = folder / f"{name}.{language}.html"
            path.write_bytes(bytes(answer.body))
            written.append(path)
    return written
