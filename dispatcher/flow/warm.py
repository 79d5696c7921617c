"""What the first mail of its kind costs, paid before there is one.

The first mail of a template reads and compiles it, the first in a language reads how that writes dates, and
the first of all reads premailer: from twenty milliseconds to a second in which an incident would wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.delivery import Lane
from dispatcher.domain.language import DEFAULT, LANGUAGES
from dispatcher.flow.specimen import EXAMPLE, Specimens
from dispatcher.mail.renderer import Renderer

_log = logging.getLogger(__name__)


class Warm:
    """Renders a few mails that nobody is sent, for what stays behind of them."""

    def __init__(self, catalogue: Catalogue, renderer: Renderer, clock: Callable[[], datetime]) -> None:
        self._catalogue = catalogue
        self._renderer = renderer
        self._clock = clock
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Begin no further mail."""
        self._stopping.set()

    def __call__(self) -> int:
        """Render urgent types in every language, then the others in one; how many mails that were.

        For a thread of its own: it takes seconds, half of them pauses, so that what is to be sent meanwhile
        is sent. What cannot be rendered is left to whoever sends it, and to `check`.
        """
        specimens, done = Specimens(self._catalogue, self._renderer, self._clock()), 0
        for key, language in self._wanted():
            began = time.thread_time()
            try:
                specimens.render(key, specimens.sample(key), EXAMPLE, language)
                done += 1
            except Exception as error:  # noqa: BLE001 - a template can raise whatever Python can
                _log.debug("%s in %s is not rendered ahead: %s", key, language, error)
            if self._stopping.wait(time.thread_time() - began):
                break
        return done

    def _wanted(self) -> Iterator[tuple[str, str]]:
        types = self._catalogue.types
        urgent = [key for key, spec in types.items() if spec.banner and spec.lane is Lane.URGENT]
        yield from ((key, language) for language in LANGUAGES for key in urgent)
        yield from ((key, DEFAULT) for key, spec in types.items() if spec.banner and key not in urgent)
