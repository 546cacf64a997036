"""Trains models, logs them to a folder, and draws a curve while its run goes on.

Run by `make demo`. No server is started here: the address is a fresh folder, and the server for it comes
when it is first needed, comes back when it is killed, and leaves when the demo has.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes, load_digits, load_wine
from sklearn.linear_model import ElasticNet, SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import runwire
from runwire._plot import plot

RUNWIRE = str(Path(sys.executable).with_name("runwire"))
ALPHAS = (0.001, 0.01, 0.1, 0.5, 1.0)
L1_RATIOS = (0.1, 0.5, 0.9)
ITERATIONS = 25
EPOCHS = 45
BATCH = 16


def main() -> None:
    """Runs the demo."""
    folder = Path(tempfile.mkdtemp(prefix="runwire-demo-")) / "runs"
    # 60 seconds otherwise, but here nothing shall be left running for so long.
    os.environ["RUNWIRE_SERVER_IDLE_EXIT"] = "2"
    runwire.set_tracking_uri(str(folder))
    print(f"Logging to {folder}; its server starts by itself")
    for name, load in (("wine", load_wine), ("diabetes", load_diabetes)):
        train_grid(name, load)
    watch_a_training(folder)
    show(folder)
    server = server_of(folder)
    # Closes this process's connection, the last one.
    runwire.set_tracking_uri(str(folder))
    wait_until_gone(server)
    print_next(folder)


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


def watch_a_training(folder: Path) -> None:
    """Trains a classifier batch by batch, while another thread draws its loss; kills the server meanwhile."""
    runwire.set_experiment("digits")
    features, target = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(features / 16.0, target, random_state=7)
    batches = len(x_train) // BATCH
    print(f"\ndigits: {EPOCHS} epochs of {batches} batches; the server is killed on the way")
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.02, random_state=7)
    order = np.random.default_rng(7)
    with (
        runwire.start_run(run_name="digits sgd") as run,
        runwire.watch_metrics([run.info.run_id], ["loss"]) as watch,
    ):
        # Its first event says that it is in place.
        next(watch)
        drawing = threading.Thread(target=draw, args=(watch, run.info.run_id, EPOCHS * batches))
        drawing.start()
        for epoch in range(EPOCHS):
            if epoch == EPOCHS // 2:
                os.kill(server_of(folder), signal.SIGKILL)
            shuffled = order.permutation(len(x_train))
            for batch in range(batches):
                part = shuffled[batch * BATCH : (batch + 1) * BATCH]
                model.partial_fit(x_train[part], y_train[part], classes=np.arange(10))
                loss = log_loss(y_train[part], model.predict_proba(x_train[part]), labels=model.classes_)
                runwire.log_metric("loss", loss, step=epoch * batches + batch)
            runwire.log_metric("accuracy", model.score(x_test, y_test), step=(epoch + 1) * batches)
        drawing.join()


def draw(watch: runwire.MetricWatch, run_id: str, total: int) -> None:
    """Draws a run's loss as it grows: over and over in a terminal, and some times elsewhere."""
    seen, drawn, lines = 0, 0, 0
    for event in watch:
        seen += sum(len(block.steps) for block in event.blocks)
        if not sys.stdout.isatty() and seen < min(drawn + total // 4, total):
            continue
        curve = runwire.get_metric_curve(run_id, "loss", max_points=150)
        picture = plot(*curve.line(), title=f"loss, live: {curve.points} of {total} points")
        # Up to the first line of the last picture, and clear what is below.
        print(f"\x1b[{lines}A\x1b[J" if lines and sys.stdout.isatty() else "", picture, sep="", flush=True)
        drawn, lines = seen, picture.count("\n") + 1
        if seen >= total:
            return


def show(folder: Path) -> None:
    """Shows the best runs and a curve, by the commands that anybody would use."""
    where = ["--address", str(folder)]
    best = "metrics.rmse < 0.8 AND params.alpha IN ('0.01', '0.1')"
    search = ["runs", "search", "wine", "diabetes", "--filter", best, "--order-by", "metrics.rmse ASC"]
    command([*where, *search, "--limit", "10"])
    found = subprocess.run(
        [RUNWIRE, *where, *search, "--limit", "1", "--json"], check=True, capture_output=True, text=True
    )
    run_id = json.loads(found.stdout)[0]["info"]["run_id"]
    command([*where, "metrics", "history", run_id, "rmse", "--plot"])
    digits = runwire.search_runs(experiment_names=["digits"], output_format="list")[0].info.run_id
    command([*where, "metrics", "tail", digits, "accuracy", "-n", "3"])


def command(arguments: list[str]) -> None:
    """Shows a command, and runs it."""
    shown = (f'"{a}"' if " " in a else a for a in arguments)
    print(f"\n$ runwire {' '.join(shown)}", flush=True)
    subprocess.run([RUNWIRE, *arguments], check=True)


def server_of(folder: Path) -> int:
    """Returns the pid of a folder's server."""
    return int(json.loads((folder / "server.json").read_text())["pid"])


def wait_until_gone(pid: int) -> None:
    """Waits until a process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with open(descriptor, "rb") as ending:
        if not select.select([ending], [], [], 30)[0]:
            raise SystemExit(f"the server (process {pid}) does not leave")


def print_next(folder: Path) -> None:
    """Says how to go on."""
    print(
        f"""
The server has left; nothing is left running. To go on with these runs:

  {RUNWIRE} --address {folder} runs search wine --order-by "metrics.rmse ASC"
  {RUNWIRE} server --data-dir {folder}
  {RUNWIRE} --help
"""
    )


if __name__ == "__main__":
    main()
