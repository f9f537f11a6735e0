"""Functions for worker processes: they must be importable there."""

import os
import signal


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
