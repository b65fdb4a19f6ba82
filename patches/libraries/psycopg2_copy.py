"""COPY with psycopg2 while a wait callback is set, which it refuses: off-loaded, past the refusal.

The refusal is one test at the beginning of `copy_expert`. It is followed by a call of the statement's `as_string`, if
it is an `sql.Composable`. So the callback is taken away, `copy_expert` called, and the callback set again by
`as_string`: all within C, where no thread gives up the GIL, so that nobody else ever meets psycopg2 without its
callback. Everything that follows happens on a native thread, with its wait callback's native variant.

libpq sends without blocking in green mode, which would keep a whole COPY in memory (PostgreSQL documentation,
"Asynchronous Command Processing"), so that is switched off meanwhile.
"""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, starmap
from typing import Any, Final

import psycopg2
from gevent import getcurrent
from gevent._hub_local import get_hub_if_exists
from psycopg2 import extensions
from psycopg2.sql import Composable

from .borrowed_file import Loan, is_free

REFUSAL: Final = "asynchronous callback"
COPY_BUFFER: Final = 8192  # psycopg2's
copy_expert: Final[Callable[..., None]] = extensions.cursor.copy_expert


class Statement(Composable):
    """The text of a statement; when it is asked for, `callback` becomes the wait callback."""

    def __init__(self, text: str | bytes, callback: Callable[..., Any]) -> None:
        super().__init__(text)
        install = filter(extensions.set_wait_callback, (callback,))  # set_wait_callback returns None: nothing is left
        self.as_string = partial(next, chain(install, (text,)))


class CopyingCursor(extensions.cursor):
    """A cursor whose COPY yields, and that does not touch a connection on which a native thread works."""

    __slots__ = ()

    def execute(self, query: Any, vars: Any = None) -> None:
        """As psycopg2's."""
        if self.connection.hublet_is_busy:
            self.connection.hublet_check("execute")
        super().execute(query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        """As psycopg2's."""
        self.connection.hublet_check("executemany")
        super().executemany(query, vars_list)

    def copy_expert(self, sql: Any, file: Any, size: int = COPY_BUFFER) -> None:
        """As psycopg2's, yielding to other greenlets."""
        if is_refused(super().copy_expert, sql, file, size):
            text = sql.as_string(self.connection) if isinstance(sql, Composable) else sql
            if not text or not isinstance(text, (str, bytes)):
                super().execute(text)  # which says what is wrong with it
            copy(self, text, file, size)

    def copy_from(
        self,
        file: Any,
        table: str,
        sep: str = "\t",
        null: str = "\\N",
        size: int = COPY_BUFFER,
        columns: Iterable[str] | None = None,
    ) -> None:
        """As psycopg2's, yielding to other greenlets."""
        if is_refused(super().copy_from, file, table, sep, null, size, columns):
            copy(self, statement(self, "FROM stdin", table, sep, null, columns), file, size)

    def copy_to(
        self, file: Any, table: str, sep: str = "\t", null: str = "\\N", columns: Iterable[str] | None = None
    ) -> None:
        """As psycopg2's, yielding to other greenlets."""
        if is_refused(super().copy_to, file, table, sep, null, columns):
            copy(self, statement(self, "TO stdout", table, sep, null, columns), file, COPY_BUFFER)


def is_refused(method: Callable[..., None], *args: Any) -> bool:
    """Call psycopg2's own method: whether it refuses because of the callback. Raises what else it has to say."""
    try:
        method(*args)
    except psycopg2.ProgrammingError as error:
        if REFUSAL not in str(error):
            raise
        return True
    return False


def statement(cursor: Any, direction: str, table: str, sep: str, null: str, columns: Iterable[str] | None) -> str:
    """The statement that `copy_from` and `copy_to` make."""
    names = "" if columns is None else f"({','.join(extensions.quote_ident(each, cursor) for each in columns)})"
    literals = (quoted(cursor.connection, each) for each in (sep, null))
    return (
        f"COPY {extensions.quote_ident(table, cursor)}{names} {direction} "
        f"WITH DELIMITER AS {next(literals)} NULL AS {next(literals)}"
    )


def quoted(connection: Any, text: str) -> str:
    """A text as a literal."""
    literal = extensions.QuotedString(text)
    literal.prepare(connection)
    encoding = extensions.encodings[connection.encoding]
    return str(literal.getquoted().decode(encoding))


def copy(cursor: Any, text: str | bytes, file: Any, size: int) -> None:
    """Run COPY on a native thread. A file that only this thread may use is read and written by this greenlet."""
    connection = cursor.connection
    hub = get_hub_if_exists()
    if hub is None or getcurrent() is hub or is_free(file):
        connection.hublet_off_load(copy_here, cursor, text, file, size)
        return
    loan = Loan(file)
    loan.during(lambda: connection.hublet_off_load(copy_borrowed, cursor, text, loan, size))


def copy_borrowed(cursor: Any, text: str | bytes, loan: Loan, size: int) -> None:
    """Run COPY on this thread with another's file."""
    copy_here(cursor, text, loan.borrowed(), size)
    loan.flush()


def copy_here(cursor: Any, text: str | bytes, file: Any, size: int) -> None:
    """Run COPY on this thread, past the refusal."""
    callback = extensions.get_wait_callback()
    calls = (
        (extensions.set_wait_callback, None),
        (copy_expert, cursor, Statement(text, callback), file, size),
    )
    with blocking(cursor.connection):
        try:
            tuple(starmap(operator.call, calls))
        finally:
            if extensions.get_wait_callback() is None:  # refused for another reason, before `as_string`
                extensions.set_wait_callback(callback)


@contextmanager
def blocking(connection: Any) -> Iterator[None]:
    """Have libpq send all that it is given before it returns."""
    set_nonblocking(connection, False)
    try:
        yield
    finally:
        if not connection.closed:
            set_nonblocking(connection, True)


def set_nonblocking(connection: Any, value: bool) -> None:
    """PQsetnonblocking, of the libpq that psycopg2 is linked with. Raises OperationalError."""
    if LIBPQ.PQsetnonblocking(ctypes.c_void_p(connection.pgconn_ptr), int(value)):
        raise psycopg2.OperationalError("PQsetnonblocking() failed")


#: Looking a symbol up in a library looks in those that it depends on too.
LIBPQ: Final = ctypes.CDLL(psycopg2._psycopg.__file__)
