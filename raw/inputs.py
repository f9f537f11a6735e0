"""What the user names to be landed: folders, pages and containers, by path or by any address that fsspec knows."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from raw.addresses import check_address, is_address, local_path, read_address, without_secrets
from raw.containers import SUFFIXES, is_container
from raw.errors import UnusableInput
from raw.folder import read_file, read_folder
from raw.manifest import MANIFEST, Manifest
from raw.pages import MEDIA_TYPES, Item


def check_input(name: str) -> None:
    """Raise UnusableInput where ``name`` is no folder, page or container, or cannot be reached."""
    if is_address(name):
        check_address(name)
        return
    path, told = local_path(name), shown_input(name)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise UnusableInput(told, getattr(error, "strerror", None) or str(error)) from None
    if stat.S_ISDIR(mode) or path.suffix.lower() in MEDIA_TYPES or is_container(path.name):
        return
    if path.name == MANIFEST:
        raise UnusableInput(told, "a manifest, which is read with the pages of its folder")
    raise UnusableInput(told, f"a file that does not end in {', '.join((*MEDIA_TYPES, *SUFFIXES))}")


def shown_input(name: str) -> str:
    """The input's name without what nobody may see: a user and password, the signature of a web address."""
    return without_secrets(name, name) if "://" in name else name


def read_inputs(inputs: Sequence[str], home: Path) -> Iterator[Item]:
    """All pages of the inputs, in their order. Whatever cannot be read is told, and stops nothing else."""
    manifests: dict[str, Manifest] = {}
    for name in inputs:
        if is_address(name):
            yield from read_address(name, home)
        elif (path := local_path(name)).is_dir():
            yield from read_folder(path, home)
        else:
            yield from read_file(path, home, manifests)
