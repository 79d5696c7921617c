"""Dispatcher tells the admins of a cloud application what is about to happen to them.

Upstream systems written in Python send events with `Client`::

    from dispatcher import Client
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`Client`, read when it is first asked for (PEP 562); ``__init__.pyi`` tells its type.

    No import statement leads there, because every room may import the version from here and none but
    the entry points may know the client.
    """
    if name == "Client":
        return import_module("dispatcher.client").Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
