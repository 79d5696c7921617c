"""``dispatcher worker``, ``serve`` and ``up``: the parts that keep running."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Annotated, NoReturn

import typer
import uvloop

from dispatcher.app import App, open_app
from dispatcher.cli import output
from dispatcher.cli.main import cli, settings_of
from dispatcher.cli.readiness import set_apart, warmed
from dispatcher.cli.supervise import Supervisor, parent_done, tended
from dispatcher.errors import Problem, SettingsInvalid
from dispatcher.queue.connection import refuse_evicting
from dispatcher.queue.embedded import EmbeddedValkey
from dispatcher.settings import RelayAddress, Settings
from dispatcher.smtp.catcher import Catcher
from dispatcher.web.server import listen
from dispatcher.web.server import serve as serve_http
from dispatcher.worker import Worker

Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 lets the system choose.")]


@cli.command(epilog="Example: DISPATCHER_SMTP_URL=smtp://mail.example.com dispatcher worker")
def worker(ctx: typer.Context) -> None:
    """Send what is due, until stopped; needs DISPATCHER_SMTP_URL."""
    settings = settings_of(ctx)
    relay = settings.smtp
    if relay is None:
        fix = "set it, like smtp://user:password@host:587, or try `dispatcher up`, which catches all mail"
        raise SettingsInvalid(Problem("DISPATCHER_SMTP_URL", "is not set, so no mail can be sent", fix))

    async def run(stop: asyncio.Event) -> None:
        await _refuse_evicting(settings)
        async with redis_ready(settings) as revive, open_app(settings) as app, warmed(app) as ready:

            def working() -> None:
                output.say(f"Working; mail goes to {relay}.")
                ready()

            await Worker(app, relay, revive).run(stop, working)

    until_stopped(run)


@cli.command(epilog="Example: dispatcher serve --port 8080")
def serve(ctx: typer.Context, host: Host = "127.0.0.1", port: Port = 8025) -> None:
    """Take events over HTTP, until stopped."""
    settings = settings_of(ctx)

    async def run(stop: asyncio.Event) -> None:
        async with open_app(settings) as app:
            set_apart()
            await serve_http(app, await listen(host, port), stop, announce)

    until_stopped(run)


@cli.command(epilog="Example: dispatcher up --port 0")
def up(ctx: typer.Context, host: Host = "127.0.0.1", port: Port = 8025) -> None:
    """Run a worker and the HTTP interface together, with all that they need.

    Without DISPATCHER_REDIS_URL a Valkey is started beside them; without DISPATCHER_SMTP_URL mail is
    caught in a Maildir under the state folder and nothing leaves the machine.
    """
    settings = settings_of(ctx)

    supervisor = Supervisor(("--root", str(settings.root), "up-child"), settings.grace_seconds)

    async def run(stop: asyncio.Event) -> None:
        await _refuse_evicting(settings)
        # Bound here, so that connections wait while a child is started, and port 0 stays the same port.
        with await listen(host, port) as listener:
            async with redis_ready(settings) as revive, tended(revive):
                code = await supervisor.run(listener, stop, announce)
        if code:
            raise typer.Exit(code)

    until_stopped(run, supervisor.kill)


@cli.command(hidden=True)
def up_child(
    ctx: typer.Context,
    listener: Annotated[int, typer.Option(help="The descriptor of a socket that listens.")],
    lifeline: Annotated[int, typer.Option(help="The descriptor of the parent's socket pair.")],
) -> None:
    """Do the work of `up`, as its child."""
    settings = settings_of(ctx)

    async def run(stop: asyncio.Event) -> None:
        with socket.socket(fileno=listener) as listening, socket.socket(fileno=lifeline) as parent:
            parent.setblocking(False)
            watching = asyncio.create_task(parent_done(parent, stop))
            try:
                async with relay_ready(settings) as relay, open_app(settings) as app, warmed(app) as ready:
                    work = Worker(app, relay).run(stop, ready)
                    await _both(app, work, listening, stop, parent)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    until_stopped(run)


async def _both(
    app: App, work: Awaitable[None], listener: socket.socket, stop: asyncio.Event, parent: socket.socket
) -> None:
    """Both until one ends; then the other is stopped as well."""

    async def guarded(part: Awaitable[None]) -> None:
        try:
            await part
        finally:
            stop.set()

    def ready(url: str) -> None:
        with suppress(OSError):  # a parent that is gone has said so already
            parent.send(url.encode())

    async with asyncio.TaskGroup() as parts:
        parts.create_task(guarded(work))
        parts.create_task(guarded(serve_http(app, listener, stop, ready)))


async def _refuse_evicting(settings: Settings) -> None:
    """Refuse a Redis that may throw jobs away; the embedded one never does."""
    if settings.redis_url is not None:
        await refuse_evicting(settings.redis_url)


@asynccontextmanager
async def redis_ready(settings: Settings) -> AsyncIterator[Callable[[], Awaitable[object]] | None]:
    """The embedded Valkey, unless another Redis is configured; yields what starts it again."""
    if settings.redis_url is not None:
        yield None
        return
    valkey = EmbeddedValkey(settings.state_dir)
    await asyncio.to_thread(valkey.start)
    try:
        yield lambda: asyncio.to_thread(valkey.start)
    finally:
        await asyncio.to_thread(valkey.stop)


@asynccontextmanager
async def relay_ready(settings: Settings) -> AsyncIterator[RelayAddress]:
    """The SMTP server that is configured, else the catcher."""
    if settings.smtp is not None:
        yield settings.smtp
        return
    async with AsyncExitStack() as stack:
        maildir = settings.state_dir / "mail"
        catcher = Catcher(maildir)
        relay = await asyncio.to_thread(catcher.start)
        stack.callback(catcher.stop)
        output.say(
            f"DISPATCHER_SMTP_URL is not set: mail is caught in {maildir}, and none leaves this machine."
        )
        yield relay


def announce(url: str) -> None:
    """Tell where HTTP is served, on standard output: a script may wait for it."""
    output.show(f"Listening on {url}")


def until_stopped(
    run: Callable[[asyncio.Event], Awaitable[None]], at_once: Callable[[], None] = lambda: None
) -> None:
    """Run until SIGTERM or SIGINT; a second one ends the process at once, after a call of `at_once`."""

    async def main() -> None:
        stop, asked = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def heard(number: int) -> None:
            if asked.is_set():
                at_once()
                _die_of(number)
            output.say("Stopping; what is on its way is finished first.")
            asked.set()
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, heard, number)
        await run(stop)

    try:
        uvloop.run(main())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


def _die_of(number: int) -> NoReturn:
    """End as a signal ends a process that does not care for it."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    os._exit(128 + number)  # the first process of a container is spared by its own signals
