"""Who may go, and who waits."""

from __future__ import annotations

import asyncio

from dispatcher.smtp.slots import Slots


class Crowd:
    """Callers that hold their slots until they are let go."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.inside: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.gates: dict[str, asyncio.Event] = {}

    async def come(self, *names: str, urgent: bool = False) -> None:
        for name in names:
            self.gates[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._hold(name, urgent))
        await self.settle()

    async def go(self, *names: str) -> None:
        for name in names:
            self.gates[name].set()
        await self.settle()

    async def empty(self) -> None:
        for gate in self.gates.values():
            gate.set()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def _hold(self, name: str, urgent: bool) -> None:
        await self.slots.take(urgent=urgent)
        try:
            self.inside.append(name)
            await self.gates[name].wait()
            self.inside.remove(name)
        finally:
            self.slots.release()


async def test_only_urgent_callers_use_the_reserve() -> None:
    """Others fill the shared slots; an urgent one still gets in at once."""
    crowd = Crowd(Slots(3, 1))
    await crowd.come("a", "b", "c")
    await crowd.come("u", "v", urgent=True)

    assert crowd.inside == ["a", "b", "u"]
    await crowd.empty()


async def test_urgent_callers_go_before_those_who_waited_longer() -> None:
    """A slot that becomes free goes to an urgent caller first, then in the order of arrival."""
    crowd = Crowd(Slots(1, 0))
    await crowd.come("a", "b", "c")
    await crowd.come("u", urgent=True)
    order = []
    for name in ("a", "u", "b"):
        await crowd.go(name)
        order.append(crowd.inside[0])

    assert order == ["u", "b", "c"]
    await crowd.empty()


async def test_urgent_callers_in_shared_slots_do_not_free_the_reserve() -> None:
    """The reserve stays a reserve, however many urgent ones are inside."""
    crowd = Crowd(Slots(3, 1))
    await crowd.come("u", "v", urgent=True)
    await crowd.come("a")

    assert crowd.inside == ["u", "v"]
    await crowd.empty()


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    """A slot is not granted to somebody who has gone."""
    crowd = Crowd(Slots(1, 0))
    await crowd.come("a", "b", "c")
    crowd.tasks["b"].cancel()
    await crowd.go("a")

    assert crowd.inside == ["c"]
    await crowd.empty()


async def test_a_slot_granted_to_a_caller_cancelled_at_that_moment_is_handed_on() -> None:
    """Being granted and cancelled in the same breath loses no slot."""
    crowd = Crowd(Slots(1, 0))
    await crowd.come("a", "b", "c")
    crowd.gates["a"].set()
    while crowd.inside:  # noqa: ASYNC110
        await asyncio.sleep(0)
    crowd.tasks["b"].cancel()  # its slot was granted in the step that emptied the room
    await crowd.settle()

    assert crowd.inside == ["c"]
    await crowd.empty()


async def test_a_failure_inside_frees_the_slot() -> None:
    """A slot comes back whatever happens to its holder."""
    crowd = Crowd(Slots(1, 0))
    await crowd.come("a", "b")
    crowd.tasks["a"].cancel()
    await crowd.settle()

    assert "b" in crowd.inside
    await crowd.empty()


async def test_narrowed_slots_let_fewer_in_and_keep_the_reserve() -> None:
    """Narrowed to three with a reserve of one, two others and one urgent caller get in."""
    crowd = Crowd(Slots(9, 1))
    crowd.slots.resize(3)
    await crowd.come(*"abcd")
    await crowd.come("u", "v", urgent=True)

    assert crowd.inside == ["a", "b", "u"]
    await crowd.empty()


async def test_of_few_slots_half_at_most_are_kept() -> None:
    """A server that bears three sessions gets two messages at a time and an urgent one, not one and two."""
    crowd = Crowd(Slots(8, 2))
    crowd.slots.resize(3)
    await crowd.come(*"abc")
    await crowd.come("u", "v", urgent=True)

    assert crowd.inside == ["a", "b", "u"]
    await crowd.empty()


async def test_slots_narrowed_to_nothing_still_let_one_in() -> None:
    """Somebody must be able to find out that things are better."""
    crowd = Crowd(Slots(10, 2))
    crowd.slots.resize(0)
    await crowd.come("a", "b")

    assert crowd.inside == ["a"]
    await crowd.empty()


async def test_more_room_lets_those_in_who_wait() -> None:
    """A wider room needs no further event."""
    crowd = Crowd(Slots(2, 0))
    crowd.slots.resize(1)
    await crowd.come("a", "b")
    crowd.slots.resize(2)
    await crowd.settle()

    assert crowd.inside == ["a", "b"]
    await crowd.empty()
