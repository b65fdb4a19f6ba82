"""hublet: runs unmodified WSGI applications with thousands of requests in flight on one thread.

The public names are imported when they are first used. `import hublet` alone loads neither gevent nor a module of the
standard library that gevent patches, so that the `hublet` command can patch before anything else is imported.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from .patches.patching import patch_all
    from .runtime.errors import (
        ApplicationLoadError,
        ClientDisconnected,
        HandshakeRefused,
        HubletError,
        ListenError,
        RequestBodyError,
        SettingsError,
        UnsupportedPlatformError,
    )
    from .runtime.offload import offload
    from .servers.server import WSGIServer
    from .servers.settings import Settings
    from .servers.websocket.applications import websockets
    from .servers.websocket.broadcast import broadcast
    from .serving import serve

__all__ = [
    "ApplicationLoadError",
    "ClientDisconnected",
    "HandshakeRefused",
    "HubletError",
    "ListenError",
    "RequestBodyError",
    "Settings",
    "SettingsError",
    "UnsupportedPlatformError",
    "WSGIServer",
    "__version__",
    "broadcast",
    "offload",
    "patch_all",
    "serve",
    "websockets",
]

HOMES = {
    "ApplicationLoadError": ".runtime.errors",
    "ClientDisconnected": ".runtime.errors",
    "HandshakeRefused": ".runtime.errors",
    "HubletError": ".runtime.errors",
    "ListenError": ".runtime.errors",
    "RequestBodyError": ".runtime.errors",
    "Settings": ".servers.settings",
    "SettingsError": ".runtime.errors",
    "UnsupportedPlatformError": ".runtime.errors",
    "WSGIServer": ".servers.server",
    "broadcast": ".servers.websocket.broadcast",
    "offload": ".runtime.offload",
    "patch_all": ".patches.patching",
    "serve": ".serving",
    "websockets": ".servers.websocket.applications",
}
if sys.platform == "win32":
    HOMES |= dict.fromkeys(("Settings", "WSGIServer", "broadcast", "patch_all", "serve", "websockets"), ".windows")


def __getattr__(name: str) -> object:
    """Import a public name from its home at its first use (PEP 562)."""
    home = HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(HOMES))
