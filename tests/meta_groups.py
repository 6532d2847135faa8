"""Groups for the tests of meta-learning, learning in memory, and the likelihood written out."""

from __future__ import annotations

import numpy as np

from lepton_dask.learn.meta.base import GroupedRows, Setting


def setting_of(D, *, loss="squared", random="all", shots=(5, 10)):
    """`random`: all, intercept, or the places of the random columns, the intercept's 0."""
    named = {"all": range(1 + D), "intercept": [0]}
    chosen = named[random] if isinstance(random, str) else random
    return Setting(
        tuple(f"x{j}" for j in range(D)), loss, np.isin(np.arange(1 + D), list(chosen)), shots
    )


def groups_of(x, y, group, weight=None):
    """Rows in any order to GroupedRows."""
    names = sorted(set(group), key=str)
    owner = np.array([names.index(name) for name in group])
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=len(names))
    return GroupedRows(
        np.asarray(x, float)[order],
        np.asarray(y, float)[order],
        (np.ones(len(owner)) if weight is None else np.asarray(weight, float))[order],
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        tuple(names),
    )


def simulated(m, Sigma, *, T=60, n=20, sigma=0.5, loss="squared", seed=0):
    """T groups with about n rows each, of the model's own distribution; the true w (T, 1 + D)."""
    rng = np.random.default_rng(seed)
    m = np.asarray(m, float)
    w = rng.multivariate_normal(m, Sigma, size=T)
    owner = np.repeat(np.arange(T), rng.integers(max(1, n // 2), n + n // 2 + 1, T))
    x = rng.normal(size=(len(owner), len(m) - 1))
    z = w[owner, 0] + np.einsum("nd,nd->n", x, w[owner, 1:])
    if loss == "squared":
        y = z + sigma * rng.normal(size=len(owner))
    else:
        y = (rng.random(len(owner)) < 1 / (1 + np.exp(-z))).astype(float)
    return groups_of(x, y, [f"g{t:03d}" for t in owner]), w


def split(rows, parts, seed=0):
    """The rows dealt to parts at random, so that groups are torn apart."""
    rng = np.random.default_rng(seed)
    deal = rng.integers(parts, size=len(rows.y))
    owner = np.repeat(np.arange(len(rows.names)), rows.counts)
    found = []
    for part in range(parts):
        chosen = np.flatnonzero(deal == part)
        found.append(rows.rows(chosen, np.unique(owner[chosen])))
    return found


def learn(algorithm, setting, rows, *, rounds=500, parts=1, seed=0):
    """The prior after each round, the start first; until it has converged."""
    held = algorithm.keep(setting, rows)
    shares = [held.take(groups) for groups in np.array_split(np.arange(len(held.names)), parts)]
    priors = [algorithm.start(setting, seed)]
    for number in range(rounds):
        messages = [algorithm.work(setting, priors[-1], share, number) for share in shares]
        priors.append(algorithm.combine(setting, priors[-1], messages))
        if algorithm.has_converged(*priors[-2:]):
            break
    return priors


def marginal_log_likelihood(prior, rows):
    """log p(y) of a normal prior: y_t ~ N(X m, X Sigma X' + sigma^2 I), group by group."""
    total = 0.0
    for t in range(len(rows.names)):
        own = slice(rows.starts[t], rows.starts[t + 1])
        X = np.column_stack([np.ones(rows.counts[t]), rows.x[own]])
        V = X @ prior.Sigma @ X.T + prior.sigma**2 * np.diag(1 / rows.weight[own])
        e = rows.y[own] - X @ prior.m
        total -= 0.5 * (len(e) * np.log(2 * np.pi) + np.linalg.slogdet(V)[1])
        total -= 0.5 * e @ np.linalg.solve(V, e)
    return total
