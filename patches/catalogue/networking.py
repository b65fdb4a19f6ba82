"""Drivers and clients written in C: databases, caches, queues, directories, HTTP and gRPC."""

from __future__ import annotations

from typing import Final

from ..replacement import Patch, Replacement, Step

LIBRARIES: Final = "hublet.patches.libraries"


def wrapped(holder: str, by: str, *names: str) -> tuple[Replacement, ...]:
    """Replacements of several names in one place, each made of its original by the same function."""
    return tuple(Replacement(f"{holder}{name}", f"{LIBRARIES}.{by}", wraps=True) for name in names)


PATCHES: Final[tuple[Patch, ...]] = (
    Patch(
        "mysqlclient",
        "libmariadb waits for the server in C, which stops every request",
        (Replacement("MySQLdb.connections:Connection", "hublet.patches.libraries.mysqlclient:Connection"),),
        module="MySQLdb.connections",
        distribution="mysqlclient",
        versions=">=2.3,<2.4",
        cost="a wait on the hub for each statement, and a native thread for its rows and for COMMIT",
    ),
    Patch(
        "mariadb",
        "libmariadb waits for the server in C, which stops every request",
        (
            *wrapped(
                "mariadb.connections:Connection.",
                "off_loading:off_loaded",
                "__init__",
                "begin",
                "commit",
                "kill",
                "rollback",
                "show_warnings",
                "tpc_begin",
                "tpc_commit",
                "tpc_prepare",
                "tpc_recover",
                "tpc_rollback",
            ),
            *wrapped("mariadb.connections:Connection.", "off_loading:off_loaded_setter", "autocommit", "database"),
            *wrapped(
                "mariadb.cursors:Cursor.",
                "mariadb:off_loaded_by_cursor",
                "callproc",
                "close",
                "execute",
                "executemany",
                "nextset",
            ),
            *wrapped("mariadb.connections:Connection.", "mariadb:closing", "close"),
            Replacement("mariadb.connectionpool:_thread", f"{LIBRARIES}.mariadb:LOCKS"),
            *wrapped("mariadb.cursors:Cursor.", "mariadb:fetching", "fetchall", "fetchmany", "fetchone"),
        ),
        (Step(f"{LIBRARIES}.mariadb:add_inherited", f"{LIBRARIES}.mariadb:remove_inherited"),),
        module="mariadb",
        distribution="mariadb",
        versions=">=1.1.14,<1.2",
        effect="off-loaded",
        cost="a native thread for each statement",
        remedy="rows that come slowly stop every request all the same, since the driver holds the interpreter's lock "
        "while it reads them: mysqlclient and PyMySQL do not",
    ),
    Patch(
        "mysql-connector",
        "its C extension holds the interpreter's lock in COMMIT, ping and autocommit, which stops every thread: "
        "connections are made in its pure mode, which cooperates",
        (
            *wrapped("mysql.connector.pooling:", "mysql_connector:in_python", "CMySQLConnection"),
            *wrapped("mysql.connector:", "mysql_connector:in_python", "CMySQLConnection"),
            *wrapped(
                "mysql.connector.network:",
                "mysql_connector:closing_if_interrupted",
                "NetworkBrokerPlain.recv",
                "NetworkBrokerPlain.send",
                "NetworkBrokerCompressed.recv",
                "NetworkBrokerCompressed.send",
            ),
        ),
        module="mysql.connector",
        distribution="mysql-connector-python",
        versions=">=9.1,<9.2",
        cost="that of the pure mode",
    ),
    Patch(
        "pyodbc",
        "ODBC drivers wait for their server in C, which stops every request",
        tuple(
            Replacement(f"pyodbc:{name}", f"{LIBRARIES}.pyodbc:{name}") for name in ("Connection", "Cursor", "connect")
        ),
        module="pyodbc",
        distribution="pyodbc",
        versions=">=5.2,<6",
        effect="off-loaded",
        cost="a native thread for each statement and each `fetchone`",
        remedy="the ODBC driver must let a connection move between threads: MariaDB's 3.1 does not after a statement "
        "that it cannot prepare (DO), and hangs",
    ),
    Patch(
        "grpcio",
        "its threads wait for each other in C, so that the first call never ends: it has a mode for gevent",
        steps=(Step(f"{LIBRARIES}.grpcio:activate", f"{LIBRARIES}.grpcio:stay"),),
        module="grpc",
        distribution="grpcio",
        versions=">=1.70,<2",
        cost="a call: 469 -> 559 us",
        remedy="grpc.aio is not part of that mode",
    ),
    Patch(
        "pyzmq",
        "sockets and pollers wait in C, which stops every request",
        tuple(
            Replacement(f"{module}:{name}", f"{LIBRARIES}.pyzmq:{name}")
            for module, names in (
                ("zmq", ("Context", "Poller", "Socket")),
                ("zmq.sugar", ("Context", "Poller", "Socket")),
                ("zmq.sugar.context", ("Context",)),
                ("zmq.sugar.poll", ("Poller",)),
                ("zmq.sugar.socket", ("Socket",)),
            )
            for name in names
        ),
        module="zmq",
        distribution="pyzmq",
        versions=">=26,<28",
        cost="a wait on the hub for each message",
        remedy="zmq.proxy and zmq.device block still: run them in a process of their own",
    ),
    Patch(
        "pycurl",
        "libcurl waits for its sockets in C, which stops every request",
        tuple(Replacement(f"pycurl:{name}", f"{LIBRARIES}.pycurl:{name}") for name in ("Curl", "CurlMulti")),
        module="pycurl",
        distribution="pycurl",
        versions=">=7.45,<8",
        cost="a wait on the hub for each request",
    ),
    Patch(
        "pylibmc",
        "libmemcached waits for the server in C, which stops every request",
        steps=(Step(f"{LIBRARIES}.pylibmc:add_methods", f"{LIBRARIES}.pylibmc:remove_methods"),),
        module="pylibmc",
        distribution="pylibmc",
        versions=">=1.6,<1.7",
        effect="off-loaded",
        cost="a native thread for each operation",
        remedy="pymemcache cooperates as it is",
    ),
    Patch(
        "python-ldap",
        "libldap waits for the server in C, which stops every request",
        wrapped("ldap.ldapobject:SimpleLDAPObject.", "python_ldap:waiting_elsewhere", "_ldap_call"),
        module="ldap",
        distribution="python-ldap",
        versions=">=3.4,<3.5",
        cost="a wait on the hub for each answer",
        remedy="ldap3 cooperates as it is",
    ),
    Patch(
        "confluent-kafka",
        "librdkafka waits for brokers in C, which stops every request",
        tuple(
            Replacement(f"{module}:{name}", f"{LIBRARIES}.confluent_kafka:{name}")
            for module in ("confluent_kafka", "confluent_kafka.cimpl")
            for name in ("Consumer", "Producer")
        ),
        (Step(f"{LIBRARIES}.confluent_kafka:derive", f"{LIBRARIES}.confluent_kafka:derive_from_originals"),),
        module="confluent_kafka",
        distribution="confluent-kafka",
        versions=">=2.16,<3",
        effect="off-loaded",
        cost="poll(0): producer 0.2 -> 0.5 us, consumer 0.3 -> 25 us",
        remedy="a poll that waits holds a native thread; kafka-python cooperates as it is",
    ),
)
