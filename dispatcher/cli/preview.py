"""``dispatcher preview``: the gallery on a local port, always as the files are now."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from dispatcher.cli import output
from dispatcher.cli.gallery import AnInstance, Languages, Types, refuse_languages
from dispatcher.cli.main import cli, settings_of
from dispatcher.cli.preview_site import create_site
from dispatcher.cli.preview_state import Choice, Current
from dispatcher.cli.run import Host, announce, until_stopped
from dispatcher.web.server import listen, serve_asgi

#: Seconds that a page which is being rendered may take once the preview is told to stop: more than the work
#: that a mail may cause, so that the page of a template without an end is told as well.
_GRACE = 5


@cli.command(epilog="Example: dispatcher preview --language de")
def preview(
    ctx: typer.Context,
    host: Host = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port to listen on; 0 lets the system choose.")
    ] = 0,
    types: Types = None,
    languages: Languages = None,
    instance: AnInstance = None,
) -> None:
    """Serve the gallery, and show each mail anew when a template, the catalogue or a list changes."""
    settings = settings_of(ctx)
    refuse_languages(languages or ())
    current = Current(settings, Choice(tuple(types or ()), tuple(languages or ()), instance))

    async def run(stop: asyncio.Event) -> None:
        listener = await listen(host, port)
        await serve_asgi(create_site(current, stop, host), listener, stop, ready, _GRACE)

    def ready(url: str) -> None:
        announce(url)
        output.say(f"Open {url} in a browser; it follows what changes in {settings.root}. End with Ctrl-C.")

    until_stopped(run)
