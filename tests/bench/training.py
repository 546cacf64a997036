"""A real training, small enough to run in seconds: what it logs is what the sizes on disk are measured with.

A network of float32 learns scikit-learn's handwritten digits. Its steps are far shorter than those of
models that people wait for, so its clock runs 100 times as fast as the wall's; the jitter is its own.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from tests.bench.series_data import START_MS

Array = np.ndarray[Any, np.dtype[Any]]

BATCH, RATE, SLOWER = 32, 0.05, 100


class Training:
    """Takes steps of gradient descent.

    Attributes:
        gradients: Of the last step, by layer.
    """

    def __init__(self, hidden: int) -> None:
        """Prepares the data and a network with a hidden layer of that size."""
        images, digits = load_digits(return_X_y=True)
        self._x = (images / 16).astype(np.float32)
        self._y = np.eye(10, dtype=np.float32)[digits]
        self._chance = np.random.default_rng(7)
        self._weights = [
            self._chance.normal(0, 1 / np.sqrt(size[0]), size).astype(np.float32)
            for size in ((64, hidden), (hidden, 10))
        ]
        self._biases = [np.zeros(size, np.float32) for size in (hidden, 10)]
        self._began = time.perf_counter()
        self.gradients: dict[str, Array] = {}

    def step(self) -> tuple[int, float, float]:
        """Takes a step; returns its time (unix ms), loss and accuracy."""
        chosen = self._chance.integers(0, len(self._x), BATCH)
        x, y = self._x[chosen], self._y[chosen]
        hidden = np.tanh(x @ self._weights[0] + self._biases[0])
        scores = hidden @ self._weights[1] + self._biases[1]
        scores -= scores.max(axis=1, keepdims=True)
        guess = np.exp(scores)
        guess /= guess.sum(axis=1, keepdims=True)
        loss = -np.mean(np.log((guess * y).sum(axis=1) + np.float32(1e-9)))
        accuracy = np.mean(guess.argmax(axis=1) == y.argmax(axis=1))
        back = (guess - y) / np.float32(BATCH)
        inner = (back @ self._weights[1].T) * (1 - hidden * hidden)
        found = (x.T @ inner, hidden.T @ back, inner.sum(axis=0), back.sum(axis=0))
        self.gradients = dict(zip(("w1", "w2", "b1", "b2"), found, strict=True))
        for value, gradient in zip((*self._weights, *self._biases), found, strict=True):
            value -= np.float32(RATE) * gradient
        passed = (time.perf_counter() - self._began) * SLOWER
        return START_MS + int(passed * 1e3), float(loss), float(accuracy)

    def summary(self) -> dict[str, float]:
        """Returns norms of gradients and weights."""
        named = {f"grad_norm.{name}": gradient for name, gradient in self.gradients.items()}
        for number, value in enumerate((*self._weights, *self._biases)):
            named[f"weight_norm.{number}"] = value
        return {name: float(np.linalg.norm(value)) for name, value in named.items()}


def losses(steps: int) -> tuple[Array, Array]:
    """Returns times and losses of a training."""
    training = Training(32)
    rows = [training.step()[:2] for _ in range(steps)]
    return np.array([time for time, _ in rows]), np.array([loss for _, loss in rows])


def several(steps: int) -> tuple[list[str], Array, Array]:
    """Returns keys, times and values (step by key) of a training that logs ten keys."""
    training = Training(32)
    moments, rows = [], []
    names: list[str] = []
    for _ in range(steps):
        moment, loss, accuracy = training.step()
        values = {"loss": loss, "accuracy": accuracy, **training.summary()}
        names = list(values)
        moments.append(moment)
        rows.append(list(values.values()))
    return names, np.array(moments), np.array(rows)


def gradients(width: int, steps: int) -> tuple[Array, Array]:
    """Returns times and gradients (step by weight) of a training, each weight a key."""
    training = Training(width // 74 + 1)
    moments, rows = [], []
    for _ in range(steps):
        moments.append(training.step()[0])
        rows.append(np.concatenate([g.ravel() for g in training.gradients.values()])[:width])
    return np.array(moments), np.array(rows, np.float64)
