"""Hashes files for ``raw/ahead.py``, in a process of its own: started as a script, so that it imports next to nothing.

On standard input: requests, each 4 bytes of length and as many bytes of paths with a NUL between them. On standard
output: for each path the sha256 of its bytes and their number in 8 bytes; UNREADABLE for a file that cannot be read.
It ends with its input.
"""
# ruff: noqa: PTH123
# Paths are bytes in here, and importing pathlib takes as long as starting Python.

import hashlib
import sys
from signal import SIG_IGN, SIGINT, signal

CHUNK = 1 << 20
UNREADABLE = bytes(32) + b"\xff" * 8


def main() -> None:
    """Answer until nobody asks."""
    signal(SIGINT, SIG_IGN)  # Ctrl-C is for the process that asks
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    while length := asked.read(4):
        paths = asked.read(int.from_bytes(length, "little")).split(b"\0")
        answers.write(b"".join(map(measured, paths)))
        answers.flush()


def measured(path: bytes) -> bytes:
    """The answer for one path."""
    digester, size = hashlib.sha256(), 0
    try:
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                digester.update(chunk)
                size += len(chunk)
    except OSError:
        return UNREADABLE
    return digester.digest() + size.to_bytes(8, "little")


if __name__ == "__main__":
    main()
