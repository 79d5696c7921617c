"""A process whose event loop does not come round any more ends itself; its supervisor starts it anew."""

from __future__ import annotations

import faulthandler
import logging
import os
import threading

#: The exit code of a process that ended itself: EX_SOFTWARE of sysexits.h.
EXIT_CODE = 70
#: Seconds without a sign of life. The ledger may take one of them, and a locked SQLite ten.
PATIENCE = 120
TICK_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Watchdog:
    """Waits in a thread for signs of life.

    It counts its own ticks rather than time, so that a process that was suspended as a whole, or a
    machine that slept, is not taken for one that hangs.
    """

    def __init__(self, patience: int = PATIENCE) -> None:
        """Nothing happens before `start`.

        Args:
            patience: Seconds without a sign of life after which the process ends.
        """
        self._patience = patience
        self._silent = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def alive(self) -> None:
        """Give a sign of life."""
        self._silent = 0

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(TICK_SECONDS):
            self._silent += 1
            if self._silent > self._patience:
                _log.critical(
                    "The worker has not come round for %d seconds. It ends, so that its supervisor starts "
                    "it again; what it was doing follows.",
                    self._patience,
                )
                faulthandler.dump_traceback(all_threads=True)
                os._exit(EXIT_CODE)
