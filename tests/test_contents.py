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
