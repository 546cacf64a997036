"""Trains ElasticNet over a grid, logs it all to a server, restarts the server, and looks at the runs.

Run by `make demo`. The server is a process of its own on a free port, with its data in a fresh folder.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import ElasticNet
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import runwire

RUNWIRE = str(Path(sys.executable).with_name("runwire"))
ALPHAS = (0.001, 0.01, 0.1, 0.5, 1.0)
L1_RATIOS = (0.1, 0.5, 0.9)
ITERATIONS = 25


def main() -> None:
    """Runs the demo."""
    folder = Path(tempfile.mkdtemp(prefix="runwire-demo-"))
    print(f"Starting a server on a free port, with its data in {folder}")
    with server(folder) as address:
        runwire.set_tracking_uri(address)
        for name, load in (("wine", load_wine), ("diabetes", load_diabetes)):
            train_grid(name, load)
    print("\nThe server has stopped. Starting it again on the same folder.")
    with server(folder) as address:
        show(address)
    print_next(folder)


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Runs a server within the block, which gets its address."""
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    options = ["--data-dir", str(folder / "data"), "--grpc-port", "0", "--log-level", "warning"]
    process = subprocess.Popen(
        [RUNWIRE, "server", *options, "--ready-file", str(ready)], stdout=subprocess.PIPE, text=True
    )
    try:
        # The ready line comes when the server serves; at its end without one, the server has said why.
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise SystemExit("the server did not start")
        print(line.strip())
        yield f"runwire://{json.loads(ready.read_text())['grpc']}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def train_grid(name: str, load: object) -> None:
    """Trains one model for each point of the grid, as runs nested under one parent."""
    features, target = load(return_X_y=True)  # type: ignore[operator]
    target = (target - target.mean()) / target.std()
    split = train_test_split(StandardScaler().fit_transform(features), target, random_state=7)
    dataset = runwire.dataset_from_arrays(name, features, target, source=f"sklearn.datasets.load_{name}")
    runwire.set_experiment(name)
    with runwire.start_run(run_name=f"{name} grid"):
        runwire.log_params({"alphas": ALPHAS, "l1_ratios": L1_RATIOS})
        for alpha in ALPHAS:
            for l1_ratio in L1_RATIOS:
                with runwire.start_run(run_name=f"{name} a={alpha} l1={l1_ratio}", nested=True):
                    runwire.log_params({"alpha": alpha, "l1_ratio": l1_ratio})
                    runwire.set_tags({"model": "ElasticNet", "dataset": name})
                    runwire.log_input(dataset, context="training")
                    train(alpha, l1_ratio, *split)
    print(f"{name}: {len(ALPHAS) * len(L1_RATIOS)} runs of {ITERATIONS} iterations logged")


def train(
    alpha: float,
    l1_ratio: float,
    x_train: np.ndarray,
    x_test: np.ndarray,
    y_train: np.ndarray,
    y_test: np.ndarray,
) -> None:
    """Trains one model by coordinate descent, an iteration at a time, and logs how it does."""
    # warm_start goes on from the last coefficients; one iteration never converges, and says so.
    model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, max_iter=1, warm_start=True, selection="cyclic")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for iteration in range(ITERATIONS):
            model.fit(x_train, y_train)
            errors = model.predict(x_test) - y_test
            runwire.log_metrics(
                {
                    "rmse": float(np.sqrt(np.mean(errors**2))),
                    "mae": float(np.abs(errors).mean()),
                    "nonzero": int(np.count_nonzero(model.coef_)),
                },
                step=iteration,
            )


def show(address: str) -> None:
    """Shows the best runs and a curve, by the commands that anybody would use."""
    where = ["--address", address]
    best = "metrics.rmse < 0.8 AND params.alpha IN ('0.01', '0.1')"
    search = ["runs", "search", "wine", "diabetes", "--filter", best, "--order-by", "metrics.rmse ASC"]
    command([*where, *search, "--limit", "10"])
    found = subprocess.run(
        [RUNWIRE, *where, *search, "--limit", "1", "--json"], check=True, capture_output=True, text=True
    )
    run_id = json.loads(found.stdout)[0]["info"]["run_id"]
    command([*where, "metrics", "history", run_id, "rmse", "--plot"])


def command(arguments: list[str]) -> None:
    """Shows a command, and runs it."""
    shown = (f'"{a}"' if " " in a else a for a in arguments)
    print(f"\n$ runwire {' '.join(shown)}", flush=True)
    subprocess.run([RUNWIRE, *arguments], check=True)


def print_next(folder: Path) -> None:
    """Says how to go on."""
    print(
        f"""
Both servers have stopped; nothing is left running. To go on with these runs:

  {RUNWIRE} server --data-dir {folder / "data"}
  {RUNWIRE} runs search wine --order-by "metrics.rmse ASC"
  {RUNWIRE} --help
"""
    )


if __name__ == "__main__":
    main()
