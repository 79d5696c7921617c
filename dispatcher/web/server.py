"""uvicorn within the running loop, ended by an event instead of a signal."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from dispatcher.app import App
from dispatcher.errors import Problem, SettingsInvalid
from dispatcher.web.app import create_app
from dispatcher.web.limits import Limits

#: Seconds that running requests have to end, or less where less is set: mail is worth waiting for, an answer
#: to somebody who has given up is not.
GRACE = 10
#: Connections that may wait to be taken.
BACKLOG = 1024


class _Server(uvicorn.Server):
    """Leaves signals to those who started the loop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    app: App,
    listener: socket.socket,
    stop: asyncio.Event,
    on_ready: Callable[[str], None],
    limits: Limits = Limits(),  # noqa: B008 - it is frozen
) -> None:
    """Serve HTTP until `stop` is set; then take no more requests and finish those that run.

    Args:
        app: The open application.
        listener: A socket that listens already, as of `listen`; it is closed at the end.
        stop: Ends it.
        on_ready: Gets the URL once connections are taken.
        limits: What one request may ask.
    """
    try:
        grace = max(1, min(GRACE, app.settings.grace_seconds - 1))
        await serve_asgi(create_app(app, limits), listener, stop, on_ready, grace)
    finally:
        listener.close()


async def serve_asgi(
    asgi: ASGIApp,
    listener: socket.socket,
    stop: asyncio.Event,
    on_ready: Callable[[str], None],
    grace: int = GRACE,
) -> None:
    """Serve any ASGI application, as `serve` serves ours.

    Args:
        asgi: The application.
        listener: A socket that listens already, as of `listen`; it is closed at the end.
        stop: Ends it.
        on_ready: Gets the URL once connections are taken.
        grace: Seconds that running requests have to end.
    """
    try:
        config = uvicorn.Config(
            asgi,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=grace,
        )
        await _run(_Server(config), listener, stop, lambda: on_ready(_url(listener)))
    finally:
        listener.close()


async def _run(
    server: uvicorn.Server, listener: socket.socket, stop: asyncio.Event, on_ready: Callable[[], None]
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    try:
        # The listener has its backlog already: whoever connects from now on is served.
        on_ready()
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.should_exit = True
        await serving


async def listen(host: str, port: int) -> socket.socket:
    """A socket on which connections may wait from now on.

    Args:
        host: The address to listen on; a name's first address is taken.
        port: The port; 0 lets the system choose.

    Raises:
        SettingsInvalid: Nobody can listen there.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        fix = "choose another address or port, or end what listens there"
        raise SettingsInvalid(Problem(f"{host}:{port}", f"cannot be listened on: {why}", fix)) from None
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
