"""Functions for worker processes: they must be importable there."""

import errno
import os
import signal
import time


def twice(number: int) -> int:
    return 2 * number


def where(number: int) -> int:
    return os.getpid()


def killed_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def raises_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("three is too much")
    return number


def finds_the_disk_full(number: int) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere/file")


def raises_while_others_sleep(number: int) -> int:
    if number == 1:
        raise ValueError("one is too much")
    time.sleep(60)
    return number
