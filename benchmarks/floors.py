"""Where biased methods end: f(x) - f* at the end of a run, over K, beta, gamma and the order of data.

The mean over the last quarter of the iterations, then over three seeds; what diverged is inf. Prints Markdown tables.

Usage: python benchmarks/floors.py top_k|momentum|order [--picture FILE.png]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported

import numpy as np
from matplotlib.axes import Axes

import pmom_mpi
from pmom_mpi.analysis.read import load
from pmom_mpi.analysis.style import COLORS, dress, panels, save

SEEDS = range(3)
BETAS = (1, 0.5, 0.1, 0.01)
MINIBATCH = ("gradient.batch=10", "gradient.order=replacement", "problem.measure_every=10")
CONFIGS = Path(__file__).parents[1] / "configs" / "problems"


def errors(config: str, overrides: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Iterations and f(x) - f* there, the mean over seeds; ends early where a run diverges."""
    curves = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in SEEDS:
            path = Path(folder) / f"{seed}.h5"
            pmom_mpi.run(CONFIGS / config, [*overrides, f"seed={seed}"], output=path)
            run = load(path)
            values = run.metrics["train_suboptimality"]
            known = np.isfinite(values)
            curves.append((run.metrics["iteration"][known], values[known], run.status))
    if any(status != "finished" for _, _, status in curves):
        return np.empty(0), np.array([np.inf])
    return curves[0][0], np.mean([values for _, values, _ in curves], axis=0)


def floor(curve: tuple[np.ndarray, np.ndarray]) -> float:
    return float(curve[1][-(len(curve[1]) // 4 or 1) :].mean())


def table(head: str, columns: Sequence[object], rows: dict[str, list[float]]) -> None:
    print(f"| {head} | " + " | ".join(map(str, columns)) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, values in rows.items():
        print(f"| {name} | " + " | ".join(f"{value:.1e}" for value in values) + " |", flush=True)
    print()


def draw(axis: Axes, curves: dict[str, tuple[np.ndarray, np.ndarray]], title: str) -> None:
    for place, (name, (iterations, values)) in enumerate(curves.items()):
        if len(iterations):
            axis.semilogy(iterations, values, color=COLORS[place], linewidth=1.4, label=name)
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("iteration k")
    axis.set_ylabel("f(x) - f*")
    dress(axis)
    axis.legend(frameon=False, fontsize=9)


def top_k() -> list[tuple[dict, str]]:
    """The floor falls with K, with beta and gamma fixed."""
    kept = (2, 5, 10, 20, 40, 50)
    sources = {
        "nodes that differ": ("heterogeneity=0.5",),
        "nodes alike": ("heterogeneity=0",),
    }
    parts, rows = [], {}
    for name, keys in sources.items():
        keys = [f"problem.synthetic.{key}" for key in keys]
        curves = {f"K = {k}": errors("least-squares.yaml", [*keys, f"bias.0.k={k}"]) for k in kept}
        rows[name] = [floor(curve) for curve in curves.values()]
        parts.append((curves, f"{name}, full gradients"))
    table("floor", [f"K = {k}" for k in kept], rows)
    return parts


def momentum() -> list[tuple[dict, str]]:
    """beta against gamma, with full gradients and with noisy ones."""
    gammas = (0.1, 0.3, 1.0, 1.9, 3.0)
    parts = []
    for name, changes in (("full gradients", ()), ("batches of 10", MINIBATCH)):
        curves = {
            (b, g): errors("least-squares.yaml", [*changes, "iterations=1000", f"momentum.beta={b}", f"step_size={g}"])
            for b in BETAS
            for g in gammas
        }
        rows = {f"beta = {b}": [floor(curves[b, g]) for g in gammas] for b in BETAS}
        table(f"{name}, Top-10", [f"gamma = {g}" for g in gammas], rows)
        parts.append(({f"beta = {b}": curves[b, 1.9] for b in BETAS}, f"Top-10, {name}, gamma = 1.9"))
    return parts


def order() -> list[tuple[dict, str]]:
    """Orders of data against gamma, on shards that batches of 10 divide and on shards that they do not."""
    gammas = (0.1, 0.05, 0.025)
    orders = ("replacement", "reshuffle", "shuffle_once", "cyclic", "full")
    parts = []
    for sizes, what in (("[100, 180]", "divided by 10"), ("[100, 200]", "not divided by 10")):
        rows, shown = {}, {}
        for name in orders:
            batch = ["gradient.batch=full"] if name == "full" else [f"gradient.order={name}"]
            changes = [f"problem.synthetic.samples={sizes}", *batch]
            curves = [errors("order.yaml", [*changes, f"step_size={g}", f"iterations={int(150 / g)}"]) for g in gammas]
            rows[name], shown[name] = [floor(curve) for curve in curves], curves[-1]
        table(f"shards {what}", [f"gamma = {g}" for g in gammas], rows)
        parts.append((shown, f"batches of 10, shards {what}, gamma = {gammas[-1]}"))
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("top_k", "momentum", "order"))
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    found = {"top_k": top_k, "momentum": momentum, "order": order}[asked.what]()
    if asked.picture:
        figure, axes = panels(1, len(found), (5.5 * len(found), 3.6))
        for axis, (curves, title) in zip(axes[0], found, strict=True):
            draw(axis, curves, title)
        figure.tight_layout()
        save(figure, asked.picture)


if __name__ == "__main__":
    main()
