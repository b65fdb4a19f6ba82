"""An LDAP directory of one's own: slapd with the suffix dc=test, which cn=admin,dc=test may write to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .process import accepts, folder, free_port, program, running, unprivileged

CONFIGURATION = """
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {place}/pid
database mdb
suffix dc=test
rootdn cn=admin,dc=test
rootpw secret
directory {place}
maxsize 10485760
"""


@contextmanager
def ldap_server() -> Iterator[int]:
    """Run slapd; yield its port."""
    port = free_port()
    with folder() as place:
        configuration = place / "slapd.conf"
        configuration.write_text(CONFIGURATION.format(place=place))
        command = [program("slapd", "slapd"), "-f", str(configuration), "-h", f"ldap://127.0.0.1:{port}", "-d", "0"]
        with running(unprivileged(command), lambda: accepts(port), place / "log"):
            yield port
