"""Fits a table of cars with scikit-learn, and logs how it goes.

    RUNWIRE_TRACKING_URI=runwire://127.0.0.1:50051 clients/examples/python/run

Without an address the runs go to the folder ./runwire-data, whose server starts by itself.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import SGDRegressor
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.preprocessing import StandardScaler

import runwire

DATA = Path(__file__).resolve().parents[1] / "data" / "mtcars.csv"
TARGET = "mpg"
RATES = (0.001, 0.01, 0.05)
EPOCHS = 200


def main() -> None:
    """Trains all models, each in a run of its own."""
    features, target = read(DATA)
    dataset = runwire.dataset_from_arrays("mtcars", features, target, source=str(DATA))
    runwire.set_experiment("cars")
    with runwire.start_run(run_name="python-grid", tags={"language": "python"}):
        for rate in RATES:
            with runwire.start_run(run_name=f"sgd {rate}", nested=True, tags={"language": "python"}):
                runwire.log_params({"model": "sgd", "rate": rate, "epochs": EPOCHS})
                runwire.log_input(dataset, context="training")
                descend(rate, features, target)
        with runwire.start_run(run_name="forest", nested=True, tags={"language": "python"}):
            runwire.log_params({"model": "forest", "trees": 100})
            runwire.log_input(dataset, context="training")
            grow(features, target)
    runs = runwire.search_runs(
        experiment_names=["cars"],
        filter_string="tags.language = 'python' AND metrics.r2 IS NOT NULL",
        order_by=["metrics.r2 DESC"],
        output_format="list",
    )
    for run in runs[: len(RATES) + 1]:
        print(f"{run.info.run_name:12} r2 {run.data.metrics['r2']:.4f}  mse {run.data.metrics['mse']:.3f}")


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads the table: all columns that are numbers but the target, scaled, and the target."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("model", TARGET)]
    features = np.array([[float(row[name]) for name in names] for row in rows])
    return StandardScaler().fit_transform(features), np.array([float(row[TARGET]) for row in rows])


def descend(rate: float, features: np.ndarray, target: np.ndarray) -> None:
    """Fits a linear model by stochastic gradient descent, and logs its error after each epoch."""
    model = SGDRegressor(learning_rate="constant", eta0=rate, random_state=7)
    for epoch in range(EPOCHS):
        model.partial_fit(features, target)
        runwire.log_metric("mse", mean_squared_error(target, model.predict(features)), step=epoch)
    runwire.log_metric("r2", r2_score(target, model.predict(features)))


def grow(features: np.ndarray, target: np.ndarray) -> None:
    """Fits a random forest, and logs its error as trees are added."""
    model = RandomForestRegressor(n_estimators=10, warm_start=True, random_state=7)
    for trees in range(10, 101, 10):
        model.set_params(n_estimators=trees)
        model.fit(features, target)
        runwire.log_metric("mse", mean_squared_error(target, model.predict(features)), step=trees)
    runwire.log_metric("r2", r2_score(target, model.predict(features)))


if __name__ == "__main__":
    main()
