"""Libraries that yield as they are, once the standard library is patched, and what their users should know."""

from __future__ import annotations

from typing import Final

from ..replacement import Patch

TLS_CONTEXTS: Final = (
    "making a TLS context takes some 60 ms of the processor: keep a session or a client, with its connections"
)


def cooperative(name: str, module: str, distribution: str, versions: str, why: str, remedy: str = "") -> Patch:
    """What is known about one such library; `versions` is what was measured."""
    return Patch(
        name, why, module=module, distribution=distribution, versions=versions, effect="cooperative", remedy=remedy
    )


PATCHES: Final[tuple[Patch, ...]] = (
    cooperative(
        "pymysql",
        "pymysql",
        "PyMySQL",
        ">=1.1,<1.3",
        "its sockets are the standard library's; a kill inside a query closes the connection",
        "each connection makes a TLS context, some 60 ms of the processor, unless it has `ssl_disabled` or `ssl`",
    ),
    cooperative(
        "redis-py",
        "redis",
        "redis",
        ">=5,<9",
        "its sockets are the standard library's, with hiredis too",
    ),
    cooperative(
        "pymemcache",
        "pymemcache",
        "pymemcache",
        ">=4,<5",
        "its sockets are the standard library's",
        "greenlets must not share a plain Client: use PooledClient or HashClient(use_pooling=True)",
    ),
    cooperative(
        "pymongo",
        "pymongo",
        "pymongo",
        ">=4.20,<5",
        "its sockets, locks and threads are the standard library's, also when it is imported before patching",
    ),
    cooperative(
        "urllib3",
        "urllib3",
        "urllib3",
        ">=2.8,<3",
        "its sockets are the standard library's",
        TLS_CONTEXTS,
    ),
    cooperative(
        "requests",
        "requests",
        "requests",
        ">=2.34,<3",
        "it waits in urllib3",
        TLS_CONTEXTS,
    ),
    cooperative(
        "httpx",
        "httpx",
        "httpx",
        ">=0.28,<0.29",
        "its sockets are the standard library's",
        TLS_CONTEXTS,
    ),
    cooperative(
        "boto3",
        "boto3",
        "boto3",
        ">=1.44,<2",
        "it waits in urllib3",
        "making a client takes 25 ms of the processor: make each once",
    ),
    cooperative(
        "kafka-python",
        "kafka",
        "kafka-python",
        ">=3.0,<4",
        "its sockets, selectors and threads are the standard library's",
    ),
    cooperative(
        "stomp.py",
        "stomp",
        "stomp.py",
        ">=9,<10",
        "its sockets and threads are the standard library's",
    ),
    cooperative(
        "ldap3",
        "ldap3",
        "ldap3",
        ">=2.9,<3",
        "its sockets are the standard library's",
    ),
    cooperative(
        "paramiko",
        "paramiko",
        "paramiko",
        ">=5.1,<6",
        "its sockets and threads are the standard library's",
    ),
    cooperative(
        "oracledb",
        "oracledb",
        "oracledb",
        ">=26.1,<27",
        "its thin mode's sockets are the standard library's",
        "call oracledb.enable_thin_mode() first, or the first connections are made one by one; its thick mode blocks",
    ),
)
