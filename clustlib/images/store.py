"""What has been made of image files, kept by their content in one database of the user's cache.

A file's content is known by its SHA-256; a path, with its size and the times of its last changes, stands for it until
one of these differs. Rows are written in transactions, so that a process that is killed leaves none half done.
"""

import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from clustlib._validation import check_path
from clustlib.errors import DataCorrupt, UsageError

_FORMAT = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, state TEXT, content BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pictures (
  content BLOB, rule TEXT, problem TEXT, vector BLOB, thumbnail BLOB, PRIMARY KEY (content, rule)
) WITHOUT ROWID;
"""
_COLUMNS = {"files": "path state content", "pictures": "content rule problem vector thumbnail"}
_OURS = 0x636C7573  # "clus", which SQLite keeps in the header of a file
_AT_ONCE = 500  # rows a query, below SQLite's limit on the number of its parameters


class Row(tuple[str | None, bytes, bytes]):
    """(problem, vector, thumbnail) of a content under a rule; with a problem the others are empty."""

    problem = property(lambda self: self[0])
    vector = property(lambda self: self[1])
    thumbnail = property(lambda self: self[2])


def default_file() -> Path:
    """Where the database lies."""
    import pooch

    return Path(pooch.os_cache("clustlib")) / "images" / f"pictures-{_FORMAT}.sqlite"


class Store:
    """The database. ``path=None`` is the one in the user's cache; one that cannot be used is replaced by memory.

    A damaged file is removed and begun anew: nothing in it cannot be made again.

    Raises
    ------
    UsageError : another file lies at ``path``, which would be lost.
    DataCorrupt : damage that shows when rows are asked for; the file is removed, so that the next run begins anew. Or
        rows that another process keeps from being read; the file stays.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        if path is not None:
            check_path("cache", path)
        self.path = default_file() if path is None else Path(path)
        self._since_commit: list[tuple[str, tuple]] = []  # a full disk shows at the end of a transaction, and undoes it
        try:
            if path is not None:
                _check_own(self.path)
            self._connection = _open(self.path)
        except sqlite3.DatabaseError as error:
            print(f"the cache {self.path} cannot be used ({error}); features are not kept", file=sys.stderr)
            self._connection = _open(None)
        except OSError as error:
            print(f"the cache {self.path} cannot be written ({error.strerror}); nothing is kept", file=sys.stderr)
            self._connection = _open(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.commit()
        self._connection.close()

    def contents(self, states: Iterable[tuple[bytes, str]]) -> dict[bytes, bytes]:
        """The content's hash of every path whose state is still the one it was kept with."""
        wanted = dict(states)
        by_state = {}
        for path, state, content in self._rows("SELECT path, state, content FROM files WHERE path IN", list(wanted)):
            if wanted[path] == state:
                by_state[path] = content
        return by_state

    def known(self, rule: str, contents: Iterable[bytes]) -> set[bytes]:
        """Those of the contents that have a row under the rule."""
        select = "SELECT content FROM pictures WHERE rule = ? AND content IN"
        return {content for (content,) in self._rows(select, list(contents), rule)}

    def rows(self, rule: str, contents: Iterable[bytes]) -> Iterator[tuple[bytes, Row]]:
        """(content, row) of the contents that have one under the rule, in no order."""
        select = "SELECT content, problem, vector, thumbnail FROM pictures WHERE rule = ? AND content IN"
        for content, *row in self._rows(select, list(contents), rule):
            yield content, Row(row)

    def _rows(self, select: str, keys: list[bytes], *first: str) -> Iterator[tuple]:
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            try:
                found = self._connection.execute(f"{select} ({','.join('?' * len(part))})", (*first, *part)).fetchall()
            except (
                sqlite3.OperationalError
            ) as error:  # another process that writes for minutes: its file is not damaged
                raise DataCorrupt(f"the cache {self.path} cannot be read ({error}): run the same again") from None
            except sqlite3.DatabaseError as error:
                raise self._begun_anew(error) from None
            yield from found

    def keep_file(self, path: bytes, state: str, content: bytes) -> None:
        """Note which content a path has."""
        self._write("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (path, state, content))

    def keep_picture(self, content: bytes, rule: str, row: Row) -> None:
        """Keep what the rule made of a content."""
        self._write("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?)", (content, rule, *row))

    def _write(self, statement: str, values: tuple) -> None:
        try:
            self._connection.execute(statement, values)
        except sqlite3.OperationalError as error:  # a full disk, or another process that writes for minutes
            self._go_to_memory(error)
            self._connection.execute(statement, values)
        except sqlite3.DatabaseError as error:
            raise self._begun_anew(error) from None
        self._since_commit.append((statement, values))

    def commit(self) -> None:
        """Make what was written since the last call last."""
        try:
            self._connection.commit()
        except sqlite3.OperationalError as error:
            self._go_to_memory(error)
        self._since_commit.clear()

    def _begun_anew(self, error: sqlite3.Error) -> DataCorrupt:
        """Remove a file that is damaged inside, and what is to be said of it."""
        with suppress(sqlite3.Error):
            self._connection.close()
        self._connection = _open(None)
        self._since_commit.clear()
        _remove(self.path)
        return DataCorrupt(f"the cache {self.path} was damaged ({error}) and is removed: run the same again")

    def _go_to_memory(self, error: sqlite3.OperationalError) -> None:
        """Go on without the disk; what the open transaction held is taken along."""
        print(f"the cache {self.path} cannot be written ({error}); features are not kept", file=sys.stderr)
        memory = _open(None)
        with suppress(sqlite3.Error):
            self._connection.rollback()
            self._connection.backup(memory)
        for statement, values in self._since_commit:
            memory.execute(statement, values)
        self._connection, old = memory, self._connection
        with suppress(sqlite3.Error):
            old.close()


def _open(path: Path | None) -> sqlite3.Connection:
    if path is None:
        return _prepared(sqlite3.connect(":memory:"))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _prepared(sqlite3.connect(path, timeout=60))
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:  # "file is not a database", "malformed"
        _remove(path)
        return _prepared(sqlite3.connect(path, timeout=60))


def _remove(path: Path) -> None:
    """Remove a database and what SQLite lays beside it."""
    for part in ("", "-wal", "-shm", "-journal"):
        Path(f"{path}{part}").unlink(missing_ok=True)


def _check_own(path: Path) -> None:
    """Raise :class:`UsageError` unless a place that was named is free, or holds what :func:`_prepared` began."""
    if not path.exists():
        return
    head = b"nothing"
    if path.is_file():
        with open(path, "rb") as file:
            head = file.read(72)
    if head and int.from_bytes(head[68:], "big") != _OURS:
        raise UsageError(f"{path} is there and is no cache of features: name another file")


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute("PRAGMA synchronous = NORMAL")
    if connection.execute("PRAGMA application_id").fetchone() != (_OURS,):
        connection.execute(f"PRAGMA application_id = {_OURS}")
    connection.executescript(_TABLES)
    for name, columns in _COLUMNS.items():
        found = connection.execute(f"SELECT * FROM {name} LIMIT 1")
        found.fetchall()
        if " ".join(column[0] for column in found.description) != columns:
            raise sqlite3.DatabaseError(f"a table {name} that is not ours")
    return connection
