"""The upstream systems of a storm: they post each event until it is answered 202, some of them many times."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable

import httpx

from chaos.ground import cloud_event, event_id
from chaos.plan import Posting

#: Seconds between two tries, and for an answer.
PAUSE, PATIENCE = 0.25, 20.0
#: Seconds for the intake to come up.
START_SECONDS = 60.0


class Upstream:
    """Posts, and remembers what was accepted.

    Attributes:
        accepted: The numbers of the events that were answered 202.
        answers: How often which answer came; ``none`` where the connection failed.
        wrong: Answers that no right event should get.
    """

    def __init__(self, url: str, token: str) -> None:
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20)
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.AsyncClient(
            base_url=url, headers=headers, limits=limits, timeout=PATIENCE, trust_env=False
        )
        self._ids: dict[int, str] = {}
        self.accepted: set[int] = set()
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def post_all(self, postings: Iterable[Posting], began: float) -> None:
        """Post each at its time, from `began` on the monotonic clock; returns when all are accepted."""
        async with asyncio.TaskGroup() as posts:
            for posting in postings:
                posts.create_task(self._at(posting, began))

    async def answers_again(self) -> float:
        """Seconds until the interface answers; asked right after it was killed."""
        began = time.monotonic()
        while True:
            try:
                if (await self._http.get("/healthz", timeout=2)).is_success:
                    return time.monotonic() - began
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _at(self, posting: Posting, began: float) -> None:
        await asyncio.sleep(max(0.0, began + posting.at - time.monotonic()))
        await asyncio.gather(*(self._insist(posting) for _ in range(posting.clients)))

    async def _insist(self, posting: Posting) -> None:
        """Post until it is accepted."""
        while not await self._once(posting):  # noqa: ASYNC110 - a server sets no event of ours
            await asyncio.sleep(PAUSE)

    async def _once(self, posting: Posting) -> bool:
        """Whether the event is done with."""
        headers = {"Content-Type": "application/cloudevents+json"}
        try:
            answer = await self._http.post("/v1/events", json=cloud_event(posting), headers=headers)
        except httpx.HTTPError:
            self.answers["none"] += 1
            return False
        self.answers[str(answer.status_code)] += 1
        if answer.status_code == 202:
            self.accepted.add(posting.number)
            name = answer.json()["event"]
            if self._ids.setdefault(posting.number, name) != name:
                self.wrong.append(
                    f"{event_id(posting)} was given two ids: {self._ids[posting.number]} and {name}"
                )
            return True
        if answer.status_code in {429, 500, 502, 503, 504}:
            if answer.status_code == 500:
                self.wrong.append(f"{event_id(posting)}: 500 {answer.text[:300]}")
            return False
        self.wrong.append(f"{event_id(posting)}: {answer.status_code} {answer.text[:300]}")
        return True
