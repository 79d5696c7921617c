"""What a process that keeps running does to answer soon, once it is ready."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from dispatcher.app import App
from dispatcher.flow.warm import Warm

#: Seconds after the start before anything is rendered ahead: what waited for a worker goes first, and who
#: only starts one to stop it again pays nothing.
AFTER_SECONDS = 1.0
#: New objects, beyond those that went, until the collector looks at the youngest. A message makes and drops
#: hundreds, nearly all without the collector's help; at Python's own 700 it looks with every other message.
YOUNG = 5_000

_log = logging.getLogger(__name__)


def set_apart() -> None:
    """Have the garbage collector leave alone what has been loaded by now.

    Catalogue, templates, translations and modules come to some 200,000 objects, and stay until the end. To
    go through all of them takes a tenth of a second in which nothing is sent, and would be due every few
    events.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


@asynccontextmanager
async def warmed(app: App) -> AsyncIterator[Callable[[], None]]:
    """Within the block, what first mails cost is paid ahead; yields what says that the worker is ready."""
    set_apart()
    warm, ready = Warm(app.project.catalogue, app.project.renderer, app.clock), asyncio.Event()
    waiting = asyncio.create_task(_settled(ready))
    warming = asyncio.create_task(_warm(warm, waiting))
    try:
        yield ready.set
    finally:
        warm.stop()
        waiting.cancel()
        await warming


async def _settled(ready: asyncio.Event) -> None:
    await ready.wait()
    await asyncio.sleep(AFTER_SECONDS)


async def _warm(warm: Warm, waiting: asyncio.Task[None]) -> None:
    await asyncio.wait({waiting})
    if waiting.cancelled():
        return
    began = asyncio.get_running_loop().time()
    number = await asyncio.to_thread(warm)
    gc.freeze()
    _log.info("%d mails were rendered ahead in %.1f s", number, asyncio.get_running_loop().time() - began)
