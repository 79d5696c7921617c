"""Single events that arrive together are submitted together.

A commit waits for the disk, for milliseconds, however many events it holds; and each submission looks
whether a recipient file changed. So whoever comes while one commit is on its way shares the next one.
Nobody waits for company: an event that comes alone is committed at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from dispatcher.errors import EventConflict, EventInvalid
from dispatcher.flow.submit import Accepted, Submission, Submit

#: Events of one commit, so that none waits long for its answer.
MOST = 200


@dataclass(frozen=True, slots=True)
class _Waiting:
    submission: Submission
    answer: asyncio.Future[Accepted]


class Gather:
    """Submits single events, each with an answer of its own, in as few commits as it takes."""

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, submission: Submission) -> Accepted:
        """Accept one event.

        Raises:
            EventInvalid: With every problem.
            EventConflict: Its source and id were used before for something else.
            ServiceUnreachable: The ledger cannot commit.
        """
        one = _Waiting(submission, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await one.answer

    async def _run(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            await self._commit(group)

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        """Submit a group; one that is refused refuses all, so halves are tried until it stands alone."""
        try:
            accepted = await self._submit([one.submission for one in group])
        except (EventInvalid, EventConflict) as error:
            if len(group) == 1:
                _refuse(group, error)
                return
            middle = len(group) // 2
            await self._commit(group[:middle])
            await self._commit(group[middle:])
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait, whatever it is
            _refuse(group, error)
        else:
            for one, answer in zip(group, accepted, strict=True):
                if not one.answer.done():
                    one.answer.set_result(answer)


def _refuse(group: Sequence[_Waiting], error: Exception) -> None:
    for one in group:
        if not one.answer.done():
            one.answer.set_exception(error)
