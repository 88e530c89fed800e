"""The tables of a label store, and how an older file becomes a newer one."""

from typing import Final

SCHEMA_VERSION: Final = 2
APPLICATION: Final = 0x48594C53  # "HYLS", in the file's header

_CONFIGURATION = "numbers BLOB, positions BLOB, cell BLOB, periodic BLOB, masses BLOB"
_CIRCUMSTANCES = (
    "checksum BLOB, identity TEXT, origin TEXT, seconds REAL, host TEXT, date TEXT, "
    "attempts INTEGER, provenance TEXT, notes TEXT"
)
_ATTEMPTS = """
CREATE TABLE attempts (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, number INTEGER,
    kind TEXT, problem TEXT, seconds REAL, host TEXT, date TEXT, provenance TEXT);
CREATE INDEX attempts_by_key ON attempts (key);
"""
SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE labels (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL,
    {_CONFIGURATION}, energy BLOB, forces BLOB, stress BLOB, energy_error BLOB, {_CIRCUMSTANCES});
CREATE TABLE failures (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL,
    {_CONFIGURATION}, problem TEXT, cure TEXT, {_CIRCUMSTANCES});
{_ATTEMPTS}
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""
FROM_VERSION_1: Final = f"""
BEGIN IMMEDIATE;
ALTER TABLE labels ADD COLUMN notes TEXT;
ALTER TABLE failures ADD COLUMN notes TEXT;
{_ATTEMPTS}
PRAGMA user_version = 2;
COMMIT;
"""
