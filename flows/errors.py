"""Errors of the pipeline and its commands: each says what was tried, what was found and what to do."""

from __future__ import annotations

import errno
from pathlib import Path

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


class CptflowError(Exception):
    """A failure that a person can act on. ``exit_status`` is the command's; the message is for people.

    ``retry_helps``: whether the same again, a little later and with nothing mended, can end otherwise (law 11).
    """

    exit_status = 1
    retry_helps = False


class UsageError(CptflowError):
    """The command asks for something that is not there or makes no sense."""

    exit_status = 2


class SettingsError(UsageError):
    """A setting has a value that is not allowed. ``where`` is the file and line, the environment or the option.

    ``value`` is None where it is ``missing``, and where it may be a secret and is ``hidden``.
    """

    def __init__(
        self, where: str, key: str, value: object, allowed: str, *, hidden: bool = False, missing: bool = False
    ) -> None:
        self.where, self.key, self.value, self.allowed = where, key, value, allowed
        shown = "" if hidden else f" = {value!r}"
        said = "is missing" if missing else f"{shown} is not allowed".strip()
        note = " (what stands there is not shown: it may be a secret)" if hidden and not missing else ""
        super().__init__(f"{where}: {key} {said}{note}. Allowed: {allowed}")


class HomeHeld(CptflowError):
    """Another run holds the home. ``holder`` is what it wrote about itself, None where that cannot be read."""

    exit_status = 4
    retry_helps = True

    def __init__(self, home: str, holder: dict[str, object] | None) -> None:
        self.home, self.holder = home, holder
        who = (
            "run {run_id} (process {pid} on {host}, since {started}: {command})".format(**holder)
            if holder
            else "another run, which has not said who it is"
        )
        super().__init__(
            f"The home {home} is held by {who}. Two runs never share a home: wait until it ends, or end that "
            "process; the lock goes with it, and the next run needs no repair."
        )


class LockLost(CptflowError):
    """The home's lock is no longer this run's: its file was removed or replaced while the run held it."""

    exit_status = 4
    retry_helps = True

    def __init__(self, home: str, lock: str, holder: dict[str, object] | None) -> None:
        self.home, self.lock, self.holder = home, lock, holder
        who = (
            "run {run_id} (process {pid} on {host}) took the home since".format(**holder)
            if holder
            else "another run may have taken the home since"
        )
        super().__init__(
            f"This run lost the home {home} before it published: {lock} is not the file that it locked, and {who}. "
            "Nothing was published; run again when no other run is under way. Nobody needs to remove that file: the "
            "lock goes with its holder."
        )


class DiskFailed(CptflowError):
    """The disk refused something. ``path`` is the file where the system named it, else the home."""

    def __init__(self, doing: str, home: Path, error: OSError, kept: str) -> None:
        self.doing, self.errno = doing, error.errno
        self.path = str(error.filename or home)
        if error.errno in _NO_ROOM:
            advice = "Make room on its disk, or raise the limit on the size of files"
        elif error.errno in _NO_RIGHT:
            advice = "Give this user the right to it, or name another home with --home"
        else:
            advice = "See whether its disk is there and healthy"
        super().__init__(
            f"{doing}: the system refused {self.path}: {error.strerror or error}. {advice}. {kept}; running again "
            "goes on from here."
        )


class WorkerDied(CptflowError):
    """A worker process ended while it held a batch. ``exit_code`` is negative where a signal ended it."""

    retry_helps = True

    def __init__(self, step: str, batch: str, exit_code: int | None) -> None:
        self.step, self.batch, self.exit_code = step, batch, exit_code
        how = f"signal {-exit_code}" if exit_code is not None and exit_code < 0 else f"exit code {exit_code}"
        hint = " The system ends processes this way when memory runs out." if exit_code == -9 else ""
        super().__init__(
            f"{step}: a worker process was ended ({how}) while it worked on {batch}.{hint} What other batches "
            "staged is kept. Run again with fewer workers (--workers) or smaller batches (CPTFLOW_BATCH_PAGES)."
        )


class BatchFailed(CptflowError):
    """The function that works on a batch raised. ``details`` is the worker's traceback."""

    def __init__(self, step: str, batch: str, error: str, details: str) -> None:
        self.step, self.batch, self.error, self.details = step, batch, error, details
        super().__init__(f"{step}: {batch} failed: {error}. What other batches staged is kept; run again to go on.")


class BatchTooLong(CptflowError):
    """A batch was not done within its time limit, and ended. ``seconds``: the limit."""

    def __init__(self, step: str, batch: str, seconds: float) -> None:
        self.step, self.batch, self.seconds = step, batch, seconds
        super().__init__(
            f"{step}: not done within {seconds:.0f} s, and ended: {batch}. Nothing was published; what was landed and "
            "parsed is kept. See what its machine is busy with, then run again; the next run goes on from here."
        )
