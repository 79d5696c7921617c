"""What `preview` shows at this moment: the root is read again once one of its files is another."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dispatcher.app import open_project, system_clock
from dispatcher.cli.choices import instance_of, type_of
from dispatcher.errors import InvalidInput, Problem
from dispatcher.flow.gallery import Exhibit, Gallery, Room
from dispatcher.settings import Settings

_WATCHED = ("catalogue.yaml", "templates", "locales", "recipients")
_SUFFIXES = (".yaml", ".yml", ".j2", ".po")


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for: types and languages, none for all, and an instance."""

    types: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    instance: str | None = None


@dataclass(slots=True)
class State:
    """The root as it was at one version.

    Attributes:
        version: Changes with any file that a mail is made of.
        service: Whom the mails speak of.
        gallery: Renders the mails; None where the catalogue cannot be used.
        rooms: The types to show, by key.
        problems: What is wrong with the catalogue, or with a template as it stands.
        mails: What was rendered already.
    """

    version: str
    service: str = "the service"
    gallery: Gallery | None = None
    rooms: dict[str, Room] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    mails: dict[tuple[str, str], Exhibit] = field(default_factory=dict)


class Current:
    """Gives the state of the root; threads may share it.

    Args:
        settings: The settings in force.
        choice: What to show.
    """

    def __init__(self, settings: Settings, choice: Choice) -> None:
        self._settings, self._choice = settings, choice
        self._lock = threading.Lock()
        self._state: State | None = None

    def version(self) -> str:
        """What tells one state of the files from another."""
        digest = hashlib.sha256()
        for path in _files(self._settings.root):
            try:
                found = path.stat()
            except OSError:
                continue  # it went away just now
            digest.update(f"{path}\0{found.st_mtime_ns}\0{found.st_size}\0{found.st_ino}\n".encode())
        return digest.hexdigest()[:16]

    def state(self) -> State:
        """The state now."""
        with self._lock:
            version = self.version()
            if self._state is None or self._state.version != version:
                self._state = self._read(version)
            return self._state

    def mail(self, state: State, key: str, language: str) -> Exhibit | None:
        """One mail of `state`; None if there is none such.

        Raises:
            InvalidInput: It cannot be rendered.
        """
        room = state.rooms.get(key)
        if state.gallery is None or room is None or language not in room.languages:
            return None
        if (key, language) not in state.mails:
            state.mails[key, language] = state.gallery.exhibit(room, language)
        return state.mails[key, language]

    def _read(self, version: str) -> State:
        try:
            project = open_project(self._settings, cached=False)
            for key in self._choice.types:
                type_of(project, key)
            reader = instance_of(project, self._choice.instance) if self._choice.instance else None
        except InvalidInput as error:
            return State(version, problems=error.problems)
        gallery = Gallery(project.catalogue, project.renderer, system_clock(), reader)
        rooms = {room.key: room for room in gallery.rooms(self._choice.types, self._choice.languages)}
        problems = tuple(project.renderer.problems())
        return State(version, project.catalogue.service.name, gallery, rooms, problems)


def _files(root: Path) -> Iterator[Path]:
    """Every file that a mail may be made of; what editors lay beside them for a moment is left out."""
    for name in _WATCHED:
        if (root / name).is_file():
            yield root / name
        for folder, folders, files in os.walk(root / name):
            folders.sort()
            for file in sorted(files):
                if file.endswith(_SUFFIXES) and not file.startswith("."):
                    yield Path(folder, file)
