"""The error a person's mistake ends in, and how every command reports it: one sentence, exit code 2."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

CANNOT_WRITE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file size limit is reached",
}

NOT_FINISHED = 75
"""EX_TEMPFAIL of sysexits.h: no mistake, but the command has to be given again."""


class InputError(Exception):
    """Something a person gave cannot be used; the message says what, names the value and the way out."""


class StoppedError(Exception):
    """Work that stopped before its end, as a person wanted; the message says where, and how it goes on."""


def run_command(command: Callable[[], None]) -> None:
    """Run ``command`` and end the process: 2 on an :class:`InputError`, 75 if it stopped early, 130 on Ctrl-C, else 0.

    Errors of the operating system (no space, no permission, no such file) are a user's to solve as well, so they
    end in a sentence too. Everything else is a defect of this project and keeps its stack trace.
    """
    try:
        command()
    except InputError as error:
        sys.exit(_report(str(error)))
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(NOT_FINISHED)
    except BrokenPipeError:
        # Whoever read the output, `head` for one, has read enough.
        sys.stdout = None
        sys.exit(1)
    except OSError as error:
        if error.errno is None:
            raise
        where = f" at {error.filename!r}" if error.filename else ""
        if error.errno in CANNOT_WRITE:
            way_out = "; no half-written file was kept, make room or choose another folder"
            sys.exit(_report(f"{CANNOT_WRITE[error.errno]}{where}{way_out}"))
        sys.exit(_report(f"{error.strerror}{where}; choose another file or folder"))
    except KeyboardInterrupt:
        _report("stopped by Ctrl-C; no half-written file was kept")
        sys.exit(130)


def _report(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 2
