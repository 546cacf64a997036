"""Arrays that the metric benchmarks log: float32 losses, as trainings have them, with wall-clock times."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

START_MS = 1_760_000_000_000
STEP_MS = 20


def losses(count: int, seed: int = 7) -> Array:
    """Returns a falling, noisy curve of float32 precision, as doubles."""
    chance = np.random.default_rng(seed)
    falling = 2.3 / np.sqrt(1 + np.arange(count) / 500)
    return (falling * (1 + 0.05 * chance.standard_normal(count))).astype(np.float32).astype(np.float64)


def times(count: int, first: int = 0, seed: int = 7) -> Array:
    """Returns unix milliseconds of steps from `first` on, which take some 20 ms each and not the same."""
    jitter = np.random.default_rng(seed).integers(0, 10, count)
    return START_MS + (np.arange(first, first + count) * STEP_MS) + jitter


def keys(count: int) -> list[str]:
    """Returns metric names as large models have them."""
    return [f"layers.{n // 8:05}.block.{n % 8}.grad_norm" for n in range(count)]
