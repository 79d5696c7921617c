"""The instances that were asked for last, kept as long as there is room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping

from dispatcher.domain.instance import Instance
from dispatcher.files.recipient_form import Version, instance_of

#: In people, some 800 bytes each: as many as the largest file that is read may hold, or a thousand instances
#: of usual size.
ROOM = 25_000
#: What an instance takes beside its people, in people.
_ITSELF = 3


class Shelf:
    """Instances by their versions; may be asked by several threads."""

    def __init__(self, room: int = ROOM) -> None:
        """`room` counts people; one instance is kept even if it has more."""
        self._room = room
        self._free = room
        self._made: OrderedDict[str, tuple[Version, Instance]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, version: Version) -> Instance:
        """The instance of a version: the same object as before, if it is still there."""
        with self._lock:
            known = self._made.get(version.instance)
            if known is not None and known[0] is version:
                self._made.move_to_end(version.instance)
                return known[1]
            # Before it is made: else there would be twice as much for a moment.
            self._make_room(_weight(version))
        # Outside the lock: twenty thousand people take a tenth of a second.
        instance = instance_of(version)
        with self._lock:
            self._take_out(version.instance)
            self._make_room(_weight(version))
            self._made[version.instance] = version, instance
            self._free -= _weight(version)
        return instance

    def keep(self, force: Mapping[str, Version]) -> None:
        """Let go of every instance whose version is in force no longer."""
        with self._lock:
            for name in [name for name, made in self._made.items() if force.get(name) is not made[0]]:
                self._take_out(name)

    def _make_room(self, weight: int) -> None:
        while self._made and self._free < weight:
            self._take_out(next(iter(self._made)))

    def _take_out(self, name: str) -> None:
        known = self._made.pop(name, None)
        if known is not None:
            self._free += _weight(known[0])


def _weight(version: Version) -> int:
    return version.people + _ITSELF
