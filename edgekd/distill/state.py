"""The resumable state of a training: one file, replaced atomically, verified when read."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import torch

from edgekd.errors import StoreError
from edgekd.store import sync

STATE = "training.state"
MAGIC = b"edgekd-training-1\n"
DIGEST_BYTES = 32


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Replaces the state in `folder`; a kill at any moment leaves the old or the new one, whole.

    Args:
        folder: created when it does not exist.
        state: tensors, numbers, strings, lists and dicts.

    Raises:
        StoreError: the file cannot be written (disk full, no permission).
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    temporary = folder / f"{STATE}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(MAGIC)
            stream.write(hashlib.sha256(payload).digest())
            stream.write(payload)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(folder / STATE)
        sync(folder)
    except OSError as error:
        raise StoreError(
            f"the training's checkpoint cannot be written: {error.strerror or error}",
            where=folder,
            hint="free some space or choose another folder, then run again: it goes on from the last checkpoint",
        ) from error


def read_state(folder: Path) -> dict[str, Any] | None:
    """The state in `folder`; None when there is none, or when its bytes are not those that were written."""
    try:
        content = (folder / STATE).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(
            f"the training's checkpoint cannot be read: {error.strerror or error}", where=folder
        ) from error
    start = len(MAGIC) + DIGEST_BYTES
    payload = memoryview(content)[start:]
    if not content.startswith(MAGIC) or hashlib.sha256(payload).digest() != content[len(MAGIC) : start]:
        return None
    return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)


def has_state(folder: Path) -> bool:
    """Whether a training left a state here, whole or damaged."""
    return (folder / STATE).exists()
