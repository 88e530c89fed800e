"""Do file locks hold on a disk? Some network disks grant every lock, or none at all."""

import fcntl
import os
import struct
import tempfile
from pathlib import Path
from typing import Final

_OPEN_FILE_LOCK: Final = getattr(fcntl, "F_OFD_SETLK", None)


def locks_work(folder: Path) -> bool:
    """False where a lock on a file in `folder` is refused, or granted twice.

    A POSIX lock of this process and an open-file-description lock on another descriptor conflict
    even within one process (Linux), so that nobody else is needed for the trial. Where nothing can
    be tried (no such lock, or a folder that cannot be written), the answer is True.
    """
    try:
        one = tempfile.NamedTemporaryFile(prefix=".locks-", dir=folder)  # noqa: SIM115
    except OSError:
        return True
    with one:
        try:
            fcntl.lockf(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        if _OPEN_FILE_LOCK is None:
            return True
        other = os.open(one.name, os.O_RDWR)
        try:
            # struct flock of 64-bit Linux: type, whence, start, length, process (0: none).
            request = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            fcntl.fcntl(other, _OPEN_FILE_LOCK, request)
        except BlockingIOError:
            return True
        except OSError:
            return True
        finally:
            os.close(other)
    return False
