"""What first mails cost, paid ahead."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from dispatcher.domain.delivery import Lane
from dispatcher.domain.language import LANGUAGES
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.flow.warm import Warm
from dispatcher.mail.renderer import Renderer
from dispatcher.mail.translations import Translations

PROJECT = Path(__file__).parents[3]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def warm(templates: Path, on_moment: Callable[[Warm], object] = lambda _: None) -> Warm:
    """Over the product's catalogue; `on_moment` is called with it when it begins."""
    catalogue = load_catalogue(PROJECT / "catalogue.yaml", templates=PROJECT / "templates")
    catalogue = catalogue.model_copy(
        update={"types": {key: catalogue.types[key] for key in ("service-restored", "launch-readiness")}}
    )
    renderer = Renderer(templates, Translations(PROJECT, PROJECT / "locales"))

    def clock() -> datetime:
        on_moment(made)
        return NOW

    made = Warm(catalogue, renderer, clock)
    return made


def test_urgent_types_are_rendered_in_every_language() -> None:
    """Of the others one mail is enough: its template is what takes long."""
    made = warm(PROJECT / "templates")
    catalogue = load_catalogue(PROJECT / "catalogue.yaml", templates=PROJECT / "templates")

    assert catalogue.types["service-restored"].lane is Lane.URGENT
    assert made() == len(LANGUAGES) + 1


def test_a_template_that_cannot_be_rendered_is_left_alone(tmp_path: Path) -> None:
    """Whoever sends such a mail hears of it; the worker goes on."""
    shutil.copytree(PROJECT / "templates", tmp_path, dirs_exist_ok=True)
    (tmp_path / "launch-readiness.html.j2").write_text("{{ 1 / 0 }}")

    assert warm(tmp_path)() == len(LANGUAGES)


def test_a_worker_that_stops_is_not_held_up() -> None:
    """Nothing further is begun once it is told to stop."""
    assert warm(PROJECT / "templates", Warm.stop)() <= 1
