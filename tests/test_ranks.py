"""Fits by several processes, each with rows of its own, end as one process with all rows does."""

import socket
from functools import cache

import numpy as np
import pytest

from nmfnet import NMF
from nmfnet.linalg.holders import local
from ranks import Pool, found_once


@pytest.fixture(scope="module")
def pool():
    pool = Pool()
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def found(pool, tmp_path_factory):
    """What each rank finds in all cases, or in those that two ranks are quickly tried with, by their number."""
    folder = tmp_path_factory.mktemp("files")
    others = {"weighted": True, "pixels": True}
    all_cases = {
        **CASES,
        "files": ("stored", {"folder": str(folder)}),
        "files of pixels": ("stored", {"folder": str(folder), **others}),
    }

    @cache
    def of(size, few=False):
        cases = {name: all_cases[name] for name in (WITH_TWO if few else all_cases)}
        return found_once(folder, f"ranks-{size}-{few}", lambda: pool.values("many", size, cases=cases))

    return of


CASES = {
    "dense": ("classifier", {"max_iter": 1}),
    "float32": ("classifier", {"max_iter": 1, "dtype": "float32"}),
    "float32, wider": (
        "classifier",
        {"hidden": (200, 100), "n": 1797, "batch_size": "auto", "max_iter": 1, "dtype": "float32"},
    ),
    "weights, early stopping": ("classifier", {"weighted": True, "early_stopping": True, "max_iter": 2}),
    "a class on one rank": ("classifier", {"sorted_rows": True, "class_weight": "balanced", "max_iter": 1}),
    "all kinds of noise": (
        "classifier", {"max_iter": 1, "solver": {"noise": 0.2, "adversarial": 0.1, "dropout": [0.3, 0.1]}},
    ),
    "batches of one row": ("classifier", {"batch_size": 1, "n": 20, "max_iter": 1}),
    "small weighted batches": ("classifier", {"batch_size": 7, "n": 70, "weighted": True, "max_iter": 1}),
    "inputs that have grown": ("grown", {}),
    "looked at seldom": ("seldom", {"max_iter": 2, "batch_size": 30, "solver": {"adversarial": 0.1}}),
    "one batch": ("classifier", {"batch_size": 200, "n": 200, "fit_intercept": False, "max_iter": 2}),
    "real targets": ("regressor", {"alpha": 0.1, "l1_ratio": 0.5, "max_iter": 1}),
    "one target": ("regressor", {"targets": 1, "early_stopping": True, "max_iter": 2}),
    "images": ("images", {"augmentation": {"shift": 1, "flip": True, "cutout": 3}, "n": 60, "max_iter": 1}),
    "image by image": ("images", {"n": 12, "batch_size": 2, "max_iter": 1}),
    "one row": ("one_row", {"early_stopping": True}),
    "one row, sparse": ("one_row", {"sparse": True}),
    "sparse": ("sparse", {"solver": {"noise": 0.2}, "max_iter": 1}),
    "wide and sparse": ("sparse", {"n_features": 5000, "n": 120, "max_iter": 1}),
    "earlier batches": ("sparse", {"n_features": 1500, "max_iter": 1}),
    "a module": ("module", {"early_stopping": True}),
    "a module, real": ("module", {"real": True}),
    "a table": ("table", {}),
    "the paper's solver": ("paper", {"weighted": True, "alpha": 0.1, "early_stopping": True, "max_iter": 2}),
    "the paper's, float32": ("paper", {"dtype": "float32", "images": True}),
    "the paper's, by batches": ("paper", {"solver": {"first_layer": "batch"}, "l1_ratio": 0.5, "alpha": 0.1}),
    "the paper's, batches of few rows": ("paper", {"solver": {"delta": 1e-14}, "batch_size": 7, "n": 40}),
    "pre-training": ("paper", {"pretrain": {"n_ae": 2}, "solver": "relaxed", "weighted": True}),
    "pre-training, images": ("paper", {"pretrain": {"n_ae": 1}, "images": True}),
    "trained further": ("warm", {"moved": (1, 2, 3)}),
    "trained further, real": ("warm", {"moved": (1,), "real": True, "other_rows": True}),
    "other principal components": ("other_components", {}),
    "a weighted sum of networks": ("stacked", {}),
    "a weighted sum, folds of some rows": ("stacked", {"n": 2100}),
    "very many categories": ("many_categories", {"early_stopping": True}),
}  # fmt: skip


FACTORIZATIONS = {
    "NMF": {"tol": 1e-3, "max_iter": 100},
    "NMF, float32": {"dtype": "float32", "max_iter": 5},
    "NMF, missing": {"missing": True, "weights": 1, "init": "random"},
    "NMF, weights of entries": {"weights": 2, "alpha_W": 1e-3, "l1_ratio": 0.5, "init": "nndsvdar"},
    "NMF, sparse": {"sparse": True, "weights": 1},
    "NMF, files": {"files": True, "missing": True},
    "NMF, multiplicative": {"solver": "mu"},
    "NMF, dead components": {"alpha_W": 0.03, "l1_ratio": 1.0, "n_components": 8, "max_iter": 33},
    "SemiNMF": {"model": "SemiNMF", "alpha_W": 1e-4},
    "NonlinearSemiNMF": {"model": "NonlinearSemiNMF", "weights": 1, "start": True, "init": "custom"},
}
CASES |= {name: ("factorization", options) for name, options in FACTORIZATIONS.items()}
# All are done with three.
WITH_TWO = ["dense", "float32", "images", "sparse", "files", "NMF", "NMF, missing", "NMF, sparse", "SemiNMF"]


def slow(size, name):
    return pytest.param(size, name, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("size", "name"),
    [
        *((2, name) for name in WITH_TWO),
        *((3, name) for name in [*CASES, "files", "files of pixels"]),
        *(slow(2, name) for name in CASES if name not in WITH_TWO),
        *(slow(4, name) for name in [*CASES, "files", "files of pixels"]),
    ],
)
def test_ranks_end_as_one_process_does(found, name, size):
    one = found(1)[0][name]
    of_ranks = [each[name] for each in found(size, few=size == 2 and name in WITH_TWO)]
    assert isinstance(one, dict), one
    assert isinstance(of_ranks[0], dict), of_ranks[0]
    single = one["weights"][0].dtype == np.float32
    for each in of_ranks:
        assert all(map(np.array_equal, each["weights"], of_ranks[0]["weights"]))
        assert _difference(each["weights"], one["weights"]) <= (1e-4 if single else 1e-10)
        if "Z" in each:
            assert each["of transform"] <= 1e-3 * each["Z"].max()
        assert each["classes"] == one["classes"] and each["best"] == one["best"]
        if one.get("temperature"):
            assert each["temperature"] == pytest.approx(one["temperature"], rel=1e-3 if single else 1e-8)
        for record, expected in zip(each["history"], one["history"], strict=True):
            assert {k: v for k, v in record.items() if k != "seconds"} == pytest.approx(
                {k: v for k, v in expected.items() if k != "seconds"}, rel=1e-3 if single else 1e-8
            )
    if "Z" in one:  # each solved for to a tolerance only
        np.testing.assert_allclose(np.concatenate([each["Z"] for each in of_ranks]), one["Z"], 1e-2, 1e-3)


SINGLE = {
    "dense": {"hidden": (200, 100), "n": 1797, "batch_size": "auto"},
    "images": {"n": 900, "batch_size": 100},
    "sparse": {"hidden": (100, 50), "n_features": 800, "n": 1000, "batch_size": 100},
}


@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("size", [3, *(pytest.param(size, marks=pytest.mark.slow) for size in (2, 4))])
def test_single_precision_agrees_with_all_seeds(pool, kind, size):
    """Of targets so near that rounding errors stay what they are; a unit that flips makes 0.8e-4."""
    arguments = {"kind": kind, "seeds": 5, "dtype": "float32", "max_iter": 1, "solver": {"tau": 1e-5}, **SINGLE[kind]}
    (one,), of_ranks = pool.values("of_seeds", 1, **arguments), pool.values("of_seeds", size, **arguments)
    differences = [_difference(found, expected) for found, expected in zip(of_ranks[0], one, strict=True)]
    assert max(differences) <= 1e-4 and np.median(differences) <= 1e-5, differences


def _difference(found, expected):
    """Norm of the difference of weights, relative to their norm."""
    found, expected = (np.concatenate([W.ravel() for W in weights]) for weights in (found, expected))
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


FAILURES = {
    "data": "rank 1 of 3: ValueError: Input X contains infinity",
    "columns": "must have the same columns of X; rank 0 has 64, rank 1 has 63",
    "callback": "rank 1 of 3: KeyError: 'spilled coffee'",
    "parameters": "Ranks must have the same max_iter; rank 0 has 2, rank 1 has 3",
    "solver": "needs all samples in one process: several ranks take a solver with takes_ranks=True",
}


@pytest.mark.parametrize("where", FAILURES)
def test_an_error_on_one_rank_is_raised_by_all_and_they_can_go_on(pool, where):
    found = pool.values("failing", 3, where=where)
    for each in found:
        assert FAILURES[where] in each["said"] and each["said"] == found[0]["said"]
        assert each["seconds"] < 30
        assert np.array_equal(each["after"], found[0]["after"])
    assert not np.array_equal(found[0]["own"], found[1]["own"])  # of a fit alone


def test_ranks_go_on_with_one_network_only(pool):
    for said in pool.values("of_other_fits", 2):
        assert "Ranks must have the same network of an earlier fit" in said


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"batch_size": 100}, "batch_size needs all samples in one process: several ranks take batch_size=None"),
        ({"solver": "mu", "beta_loss": "kullback-leibler"}, "beta_loss='kullback-leibler' needs all samples"),
    ],
)
def test_what_ranks_cannot_factorize_is_refused(monkeypatch, parameters, message):
    class Two(type(local)):
        size = 2

    monkeypatch.setattr("nmfnet.transformers.ranks.now", Two)
    with pytest.raises(ValueError, match=message):
        NMF(2, **parameters).fit(np.ones((4, 3)))


def test_ranks_of_a_launcher_find_each_other(pool):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for each in pool.values("joined", 2, port=port):
        assert each == ([0, 1], (1, 2), True)


def test_sums_have_memory_of_their_own(pool):
    """Products of what begins elsewhere are rounded otherwise than in one process."""
    assert pool.values("own_memory", 2) == [[True] * 4] * 2


def test_a_checkpoint_has_momentum_over_ranks(pool, tmp_path):
    for whole, resumed in pool.values("momentum", 2, folder=str(tmp_path)):
        assert all(map(np.array_equal, whole["weights"], resumed["weights"]))


def killed_and_resumed(pool, folder, batch, sizes=(3, 2)):
    """Kill a rank after a batch, and go on with another number of ranks."""
    whole = pool.values("dying", sizes[1], folder=str(folder / "whole"), batch=0, killed=False)[0]
    found = pool.found("dying", sizes[0], folder=str(folder / "killed"), batch=batch)
    assert found[-1] is None  # it is dead
    for each in found[:-1]:
        assert "ended or cannot be reached" in each["value"]["said"] and each["value"]["seconds"] < 60
    resumed = pool.values("dying", sizes[1], folder=str(folder / "killed"), batch=0, resume=True, killed=False)
    for each in resumed:
        assert each["best"] == whole["best"]
        for W, expected in zip(each["weights"], whole["weights"], strict=True):
            tolerance = (0, 0) if sizes[0] == sizes[1] else (1e-7, 1e-9)
            np.testing.assert_allclose(W, expected, *tolerance)


def test_the_others_end_when_a_rank_is_killed_and_a_resumed_training_ends_alike(pool, tmp_path):
    killed_and_resumed(pool, tmp_path, 9)


@pytest.mark.slow
def test_ten_times_killed_each_time_resumed(pool, tmp_path):
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        killed_and_resumed(pool, folder, 2 + 2 * number, (2 + number % 3, 1 + number % 2))
