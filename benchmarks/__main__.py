"""`python -m benchmarks` lists; `python -m benchmarks NAME [--scale S]` runs one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from benchmarks.harness import REPEATS, Bench

NAMES = {
    "prepare": "CSV files to a design matrix: pyarrow's parser, Polars, pandas with scikit-learn",
    "train_dense": "logistic regression on dense columns: scikit-learn, dask-ml, glum",
    "train_wide": "logistic regression on categories: glum on tabmat, scikit-learn on scipy.sparse",
    "passes": "passes over the data to a sub-optimality of 1e-6, by optimizer",
    "overhead": "what an iteration costs above its kernel, at 16 and 256 chunks",
    "bandwidth": "the kernel's bytes a second against sums over the same memory",
    "growth": "seconds a pass per million rows, 1 to 8 million rows",
    "out_of_core": "training with a third of the memory that the matrix needs",
    "priority": "critical tasks among bulk: latency, slot use, shares, workers killed",
    "meta": "learning across groups: sinusoids, schools, patients, homes; what a round costs",
    "search": "16 penalties together against one by one; trials with a portfolio and without",
    "end_to_end": "CSV files to an evaluated model: pandas with scikit-learn, Polars with glum",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exits with 0 when the benchmark ran, whether or not its bars hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=NAMES, metavar="NAME", help="a benchmark")
    parser.add_argument("--scale", type=_scale, default=1.0, help="of the rows (default: 1)")
    parser.add_argument("--repeats", type=int, default=REPEATS, help=f"at least {REPEATS}")
    given = parser.parse_args(arguments)
    if given.name is None:
        width = max(map(len, NAMES))
        print("\n".join(f"{name:<{width}}  {text}" for name, text in NAMES.items()))
        return 0
    bench = Bench(given.name, given.scale, repeats=max(REPEATS, given.repeats))
    import_module(f"benchmarks.{given.name}").run(bench)
    bench.finish()
    return 0


def _scale(text: str) -> float:
    scale = float(text)
    if not 0 < scale <= 100:
        raise argparse.ArgumentTypeError("a scale lies above 0, at most 100")
    return scale


if __name__ == "__main__":
    # What a benchmark prints is followed line by line, also through a pipe.
    # Into a file, too, each line as soon as it is known: a benchmark takes minutes.
    sys.stdout.reconfigure(line_buffering=True)
    code = main()
    sys.exit(code)
