"""Gram matrices that are each factorized by one rank: who does which, and the same networks as ever."""

from dataclasses import replace

import numpy as np
import pytest

from nmfnet.linalg.owners import owners
from nmfnet.planning import factorizations
from nmfnet.planning.task import LayerSizes, Task
from ranks import Pool


@pytest.fixture(scope="module")
def pool():
    pool = Pool()
    yield pool
    pool.close()


def test_large_matrices_are_divided_among_ranks():
    assert owners([2000, 4000, 2000, 2000], 2) == [1, 0, 1, 1]
    assert owners([3000, 3000], 64) == [0, 1]
    assert owners([4000], 2) is None  # the others would wait
    assert owners([200, 200, 200], 3) is None  # sent longer than it takes
    assert owners([4000, 100], 2) is None  # nearly all is one matrix
    assert owners([], 2) is None and owners([4000, 4000], 1) is None


def test_a_plan_has_the_matrices_of_the_rank_with_most_to_do():
    task = Task((LayerSizes(2000, 3000), LayerSizes(3000, 2000), LayerSizes(2000, 10)), 10_000, 1000, 5, 2000)
    assert [n for n, _ in factorizations(task)] == [2000, 3000, 2000]
    assert [n for n, _ in factorizations(task, 2)] == [3000]
    assert [n for n, _ in factorizations(replace(task, message_bits=4), 2)] == [2000, 3000, 2000]


CASES = {
    "dense": {"of": "classifier", "max_iter": 2},
    "float32": {"of": "classifier", "max_iter": 1, "dtype": "float32"},
    "penalty, no bias": {"of": "classifier", "max_iter": 1, "alpha": 0.1, "l1_ratio": 0.5, "fit_intercept": False},
    "grown": {"of": "grown"},
    "images": {"of": "images", "n": 60, "max_iter": 1},
    "real": {"of": "regressor", "max_iter": 1},
}


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", CASES)
def test_owners_change_nothing_but_who_factorizes(pool, name, size):
    (one,), found = (pool.values("owned", ranks, **CASES[name]) for ranks in (1, size))
    single = name == "float32"
    for each in found:
        assert all(map(np.array_equal, each["weights"], found[0]["weights"]))
        for W, expected in zip(each["weights"], one["weights"], strict=True):
            np.testing.assert_allclose(W, expected, rtol=0, atol=1e-4 if single else 1e-10)
    done = sum(len(each["own"]) for each in found)
    assert len(one["own"]) <= done < size * len(one["own"])  # a network of few rows is trained on each rank
    assert len({tuple(each["own"]) for each in found}) > 1


@pytest.mark.parametrize("call", [1, 5])
def test_all_ranks_fail_where_an_owner_does(pool, call):
    found = pool.values("an_owner_fails", 2, call=call)
    assert found[0].keys() == found[1].keys() and found[0].get("said") == found[1].get("said")
    if "weights" in found[0]:
        assert all(map(np.array_equal, found[0]["weights"], found[1]["weights"]))


def test_messages_are_those_of_the_plan(pool):
    found = pool.values("owned_messages", 2)[0]
    (with_owners, without), ((_, times, size),) = found["counts"], found["planned"]
    assert with_owners[0] - without[0] == pytest.approx(times * found["epochs"])
    assert with_owners[1] - without[1] == pytest.approx(size * found["epochs"])
