"""Where Arrow takes its memory from."""

from __future__ import annotations

import os

import pyarrow as pa

_CHOSEN_BY_USER = "ARROW_DEFAULT_MEMORY_POOL"


def keep_what_is_freed() -> None:
    """Let Arrow take memory from the C library, as Python does, unless the environment names another allocator.

    Tables of a hundred MB come and go here. Arrow's default, mimalloc, gives their memory back to the system at once,
    which has to clear it before it comes again: half of the processor time of assembling 20,000 pages.
    """
    if _CHOSEN_BY_USER not in os.environ:
        pa.set_memory_pool(pa.system_memory_pool())
