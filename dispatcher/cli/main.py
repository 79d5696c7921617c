"""The program: global options, and what each kind of failure exits with."""

from __future__ import annotations

import gc
import io
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from dispatcher import __version__, environment
from dispatcher.cli import output
from dispatcher.errors import DispatcherError, ServiceUnreachable
from dispatcher.settings import Settings

EXIT_INVALID = 2
EXIT_FAILED = 3
EXIT_UNREACHABLE = 4

cli = typer.Typer(
    name="dispatcher",
    help="Tell the admins of a cloud application what is about to happen to them.",
    epilog=(
        "Exit codes: 0 done, 1 something needs attention (status), 2 invalid input, 3 deliveries failed, "
        "4 a service is unreachable. "
        "Begin with: dispatcher init mycloud, then dispatcher --root mycloud check."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"dispatcher {__version__}\n")
        raise typer.Exit


@cli.callback()
def _global_options(
    ctx: typer.Context,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Where catalogue.yaml, templates/ and recipients/ are. Default: DISPATCHER_ROOT, else here.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback prints and leaves
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    ctx.obj = lambda: _settings(root)


def _settings(root: Path | None) -> Settings:
    settings = environment.load(root)
    for name in sorted(set(environment.unknown(os.environ))):
        output.warn(f"{name} is no setting; `dispatcher config` lists those there are.")
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    return settings


def settings_of(ctx: typer.Context) -> Settings:
    """The settings in force.

    Raises:
        SettingsInvalid: One of them cannot be used.
    """
    load: Callable[[], Settings] = ctx.find_root().obj
    return load()


def main() -> None:
    """Run the program; every failure has its exit code and a text that says what to do."""
    gc.disable()
    from dispatcher.cli import commands  # noqa: F401, PLC0415 - registers the commands on `cli`

    # What was imported stays: to look through it for circles, again and again, is time lost.
    gc.freeze()
    gc.enable()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal without our quotation marks shows an escape, not a traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        cli()
    except ServiceUnreachable as error:
        output.fail(str(error))
        sys.exit(EXIT_UNREACHABLE)
    except DispatcherError as error:
        output.fail(str(error))
        sys.exit(EXIT_INVALID)
    except BrokenPipeError:
        # The reader of our output had enough (`| head`); nothing is wrong and nothing can be said.
        sys.stderr.close()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        output.fail(f"{where}{error.strerror or error}. See to it that this user may read and write there.")
        sys.exit(EXIT_INVALID)
    finally:
        gc.freeze()  # else the end of the process waits until all that it holds was looked through once more
