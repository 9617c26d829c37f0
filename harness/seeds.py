"""Integers and generators derived from keys, and a scope that keeps global random state out of a trial."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def canonical(value: object) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN. Equal values give equal text on every machine.

    Raises: ValueError for NaN or infinity, TypeError for what JSON cannot hold.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: object) -> str:
    """The first 32 hex digits of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


def derive(key: str, purpose: str) -> int:
    """A seed in [0, 2**63) for one purpose of one key."""
    return int.from_bytes(hashlib.sha256(f"{key}/{purpose}".encode()).digest()[:8], "big") >> 1


def generator(key: str, purpose: str) -> torch.Generator:
    """A CPU generator seeded by `derive(key, purpose)`."""
    return torch.Generator().manual_seed(derive(key, purpose))


@contextmanager
def seeded(key: str, purpose: str) -> Iterator[None]:
    """Seed torch, numpy and random inside the block, and leave the caller's random state as it was.

    What a method or a network draws from any of the three is then a function of the key alone.
    """
    seed = derive(key, purpose)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)  # torch.manual_seed takes twice the time on a CPU
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
