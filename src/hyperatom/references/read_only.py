"""SQLite files that are looked at while somebody else may be writing them."""

import sqlite3
from pathlib import Path
from urllib.parse import quote


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection for several threads that changes neither the file nor its write-ahead log.

    Without a log nobody has the file open, and it is read as it lies there, so that nothing is made
    beside it. Raises `sqlite3.Error` where the file is missing or no database.
    """
    address = f"file:{quote(str(path.absolute()))}"
    if path.with_name(f"{path.name}-wal").exists():
        connection = _connect(f"{address}?mode=ro")
        try:
            connection.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.OperationalError:  # a folder where not even locks can be kept
            connection.close()
        else:
            return connection
    return _connect(f"{address}?mode=ro&immutable=1")


def _connect(address: str) -> sqlite3.Connection:
    return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
