"""The one place where concrete parts are put together."""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import make_url

from dispatcher import heap
from dispatcher.domain.catalogue import Catalogue
from dispatcher.errors import ServiceUnreachable
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.announce import Announcer
from dispatcher.flow.expand import Expand
from dispatcher.flow.submit import Submit
from dispatcher.ledger.ledger import Ledger
from dispatcher.mail.renderer import Renderer
from dispatcher.mail.translations import Translations
from dispatcher.queue.bell import Bell
from dispatcher.queue.embedded import EmbeddedValkey
from dispatcher.settings import Settings

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Project:
    """What the root holds: catalogue, templates, recipient lists. Needs no service."""

    settings: Settings
    catalogue: Catalogue
    recipients: RecipientStore
    renderer: Renderer
    translations: Translations

    @property
    def templates(self) -> Path:
        """The folder of the templates."""
        return self.settings.root / "templates"


@dataclass(frozen=True, slots=True)
class App:
    """Everything that a command or a request may use."""

    settings: Settings
    project: Project
    ledger: Ledger
    bell: Bell
    submit: Submit
    expand: Expand
    clock: Clock
    rng: random.Random


def open_project(settings: Settings, *, cached: bool = True) -> Project:
    """Read the root.

    Args:
        settings: The settings in force.
        cached: Whether recipient lists that were read before, and their last good versions, count;
            `check` wants to see the files as they are.

    Raises:
        CatalogueInvalid: ``catalogue.yaml`` is missing or wrong.
    """
    templates = settings.root / "templates"
    catalogue = load_catalogue(settings.root / "catalogue.yaml", templates=templates)
    cache = settings.state_dir / "recipients.cache" if cached else None
    recipients = RecipientStore(settings.root, cache=cache, audience_keys=catalogue.audience_keys)
    translations = Translations(settings.root, locales_of_program())
    renderer = Renderer(templates, translations)
    return Project(settings, catalogue, recipients, renderer, translations)


def program_folder() -> Path:
    """The folder of the package."""
    return Path(__file__).resolve().parent


def starter() -> Path:
    """The folder with the catalogue, templates, translations and sample recipients of the program."""
    packed = program_folder() / "starter"
    return packed if packed.is_dir() else program_folder().parent


def locales_of_program() -> Path:
    """The translations that travel with the program."""
    return starter() / "locales"


def redis_url(settings: Settings) -> str:
    """The Redis in force: the configured one, else the embedded one of the state folder."""
    if settings.redis_url is not None:
        return settings.redis_url.reveal()
    return EmbeddedValkey.url(settings.state_dir)


@asynccontextmanager
async def open_ledger(
    settings: Settings, *, clock: Clock = system_clock, existing: bool = False
) -> AsyncIterator[Ledger]:
    """The ledger alone: a look at it needs neither catalogue nor Redis.

    Args:
        settings: The settings in force.
        clock: Gives the time.
        existing: Whether it must be there already: an empty one, made in the wrong folder, tells whoever
            asks that nothing waits.

    Raises:
        ServiceUnreachable: It cannot be opened, or is not there.
    """
    if existing:
        see_ledger(settings)
    with suppress(OSError):  # the ledger says what is wrong, if it needs the folder
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    ledger = await Ledger.open(settings.database_url.reveal(), clock=clock)
    try:
        yield ledger
    finally:
        await ledger.close()


def has_ledger(settings: Settings) -> bool:
    """Whether there is a ledger, as far as this machine's disk tells."""
    return _missing_file(settings.database_url.reveal()) is None


def _missing_file(url: str) -> str | None:
    file = make_url(url).database if url.startswith("sqlite:") else None
    return file if file is not None and not Path(file).exists() else None


def see_ledger(settings: Settings) -> None:
    """Nothing, where there is a ledger as far as this machine's disk tells.

    Raises:
        ServiceUnreachable: There is none; one that is made now knows of nothing.
    """
    if file := _missing_file(settings.database_url.reveal()):
        fix = "Check --root, DISPATCHER_STATE_DIR and DISPATCHER_DATABASE_URL; `dispatcher up` makes one."
        raise ServiceUnreachable("database", f"There is no ledger at {file}. {fix}")


@asynccontextmanager
async def open_app(
    settings: Settings, *, clock: Clock = system_clock, rng: random.Random | None = None
) -> AsyncIterator[App]:
    """Open the ledger and put the parts together; close them at the end.

    Raises:
        CatalogueInvalid: ``catalogue.yaml`` is missing or wrong.
        ServiceUnreachable: The ledger cannot be opened.
    """
    heap.one_for_all()
    project = open_project(settings)
    bell = Bell(redis_url(settings), token=secrets.token_hex)
    async with open_ledger(settings, clock=clock) as ledger:
        try:
            submit = Submit(project.catalogue, project.recipients, ledger, bell)
            if settings.webhook_url is not None:
                submit.observers.append(Announcer(project.catalogue, ledger))
            expand = Expand(project.catalogue, project.recipients, ledger, project.renderer, bell, clock)
            expand.links = settings.public_url is not None
            yield App(settings, project, ledger, bell, submit, expand, clock, rng or random.SystemRandom())
        finally:
            await bell.close()
