"""Tables in an order that follows from what they hold."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfnet.data.contents import by_contents, drawn_by_contents

seeds = st.integers(0, 2**16)


def table(seed, distinct):
    """With few values a column: many rows and columns look alike."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(distinct, (30, 5), generator=rng).double(), torch.eye(3)[torch.arange(30) % 3], rng


@settings(max_examples=40)
@given(seed=seeds, distinct=st.sampled_from([2, 5, 1000]), unit=st.sampled_from([1e-9, 3.0, 1e12]))
def test_any_order_and_unit_gives_the_same_table(seed, distinct, unit):
    X, Y, rng = table(seed, distinct)
    rows, columns, outputs = (torch.randperm(n, generator=rng) for n in (30, 5, 3))
    one, two = by_contents(X, Y), by_contents(unit * X[rows][:, columns], Y[rows][:, outputs])
    torch.testing.assert_close(two.X, unit * one.X)
    torch.testing.assert_close(two.Y, one.Y)
    assert (two.weight is None) == (one.weight is None)
    if one.weight is not None:
        torch.testing.assert_close(two.weight, one.weight)


@settings(max_examples=20)
@given(seed=seeds)
def test_equal_rows_become_one_with_their_weight(seed):
    X, Y, rng = table(seed, 1000)
    weight = torch.rand(30, generator=rng) + 0.1
    some = torch.randint(30, (10,), generator=rng)
    one = by_contents(X, Y, weight.index_add(0, some, torch.full((10,), 0.5)))
    two = by_contents(torch.cat([X, X[some]]), torch.cat([Y, Y[some]]), torch.cat([weight, torch.full((10,), 0.5)]))
    torch.testing.assert_close(two.X, one.X)
    torch.testing.assert_close(two.weight, one.weight)
    assert float(one.weight.mean()) == pytest.approx(1)


@settings(max_examples=20)
@given(seed=seeds)
def test_repeated_rows_are_there_as_often_as_before(seed):
    X, Y, rng = table(seed, 2)
    found = by_contents(X, Y).repeated(30, rng)
    of_table = torch.cat([X[:, found.columns], Y[:, found.outputs]], 1)
    of_found = torch.cat([found.X, found.Y], 1)
    rows, counts = torch.unique(of_table, dim=0, return_counts=True)
    assert torch.equal(torch.unique(of_found, dim=0), rows)
    assert torch.equal(torch.unique(of_found, dim=0, return_counts=True)[1], counts)
    assert found.weight is None and bool((found.copies == 1).all())


def test_repeated_rows_share_their_weight_and_are_as_few_as_asked_for():
    X, Y, rng = table(0, 1000)
    X, Y = torch.cat([X, X[:10]]), torch.cat([Y, Y[:10]])
    weight = torch.rand(40, generator=rng) + 0.1
    one = by_contents(X, Y, weight)
    assert sorted(one.copies.tolist()) == [1] * 20 + [2] * 10
    all_rows, some = one.repeated(40, rng), one.repeated(7, rng)
    assert len(all_rows.X) == 40 and len(some.X) == len(some.Y) == len(some.weight) == 7
    largest = all_rows.X[:, 0].max() == all_rows.X[:, 0]
    assert float(all_rows.weight[largest].sum() / 40) == pytest.approx(
        float(weight[X[:, all_rows.columns[0]] == all_rows.X[largest][0, 0]].sum() / weight.sum())
    )


def test_a_table_that_is_given_twice_is_the_same():
    X, Y, rng = table(1, 1000)
    one, two = by_contents(X, Y), by_contents(X.repeat(2, 1), Y.repeat(2, 1))
    assert torch.equal(two.repeated(60, rng).X, one.repeated(60, rng).X)
    assert bool((two.copies == 1).all()) and two.weight is None


def test_every_value_is_where_it_was():
    X, Y, _ = table(0, 1000)
    found = by_contents(X, Y)
    before = {tuple(row.tolist()) for row in torch.cat([X[:, found.columns], Y[:, found.outputs]], 1)}
    assert {tuple(row.tolist()) for row in torch.cat([found.X, found.Y], 1)} == before


def test_columns_that_only_targets_tell_apart():
    """Both hold 0 to 29 once."""
    X = torch.stack([torch.arange(30.0), torch.arange(30.0).flip(0)], 1)
    Y = torch.arange(30.0)[:, None] ** 2
    torch.testing.assert_close(by_contents(X, Y).X, by_contents(X.flip(1), Y).X)


def test_a_row_and_a_constant_table():
    one = by_contents(torch.ones(1, 2), torch.ones(1, 1))
    assert one.X.shape == (1, 2) and one.weight is None
    constant = by_contents(torch.zeros(7, 2), torch.ones(7, 1))
    assert constant.X.shape == (1, 2) and constant.weight is None


def test_rows_are_drawn_with_their_copies_whatever_the_order():
    X, Y, rng = table(0, 1000)
    rows, columns = torch.randint(30, (90,), generator=rng), torch.randperm(5, generator=rng)
    X, Y = X[rows], Y[rows]
    drawn = drawn_by_contents(X, Y, 10, seed=0)
    assert len(torch.unique(X[drawn], dim=0)) == 10
    order = torch.randperm(90, generator=rng)
    again = drawn_by_contents(X[order][:, columns], Y[order], 10, seed=0)
    assert set(order[again].tolist()) == set(drawn.tolist())
    assert set(drawn_by_contents(X, Y, 10, seed=1).tolist()) != set(drawn.tolist())
    assert drawn_by_contents(X, Y, 30, seed=0).tolist() == list(range(90))
