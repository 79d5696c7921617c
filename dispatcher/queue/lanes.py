"""What a lane is called in Redis."""

from __future__ import annotations

from dispatcher.domain.delivery import Lane

#: The two jobs there are, by the names under which arq finds them.
EXPAND = "expand"
DELIVER = "deliver"
#: In place of an event's id: whatever waits to be expanded.
EVERY = "*"


def queue_of(lane: Lane) -> str:
    """The lane's arq queue, a sorted set: ``dispatcher:queue:urgent``."""
    return f"dispatcher:queue:{lane.value}"


def channel_of(lane: Lane) -> str:
    """The channel on which every ring of the lane is announced: ``dispatcher:bell:urgent``."""
    return f"dispatcher:bell:{lane.value}"
