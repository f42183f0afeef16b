"""Small tables: folds choose the penalty, and the networks of folds are averaged."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import make_classification, make_friedman1
from sklearn.metrics import log_loss

import nmfnet
from nmfnet import Checkpoint, NMFNetClassifier, NMFNetRegressor, Relaxed
from nmfnet.data.source import InMemory
from nmfnet.estimators.fitting import Architecture
from nmfnet.network.merging import merged
from nmfnet.solvers.base import Plan
from nmfnet.solvers.relaxed.sweep import RelaxedSweep
from nmfnet.stateful import copied
from nmfnet.training.folded import FOLDS, Folded
from nmfnet.training.folds import FOLD_UNITS, MOST_FOLDED, MOST_MEMBERS, PENALTIES, _best
from nmfnet.training.stacking import MOST_STACKED


def noisy(n=150, seed=0):
    """A table whose labels are mostly noise: a network without a penalty learns it by heart."""
    return make_classification(n, 12, n_informative=3, flip_y=0.4, random_state=seed)


def curved(n=300, waves=None):
    """A table without noise, in which no column tells anything by itself."""
    X = np.random.default_rng(0).uniform(-1, 1, (n, 3)) * [1, 10, 100]
    first = X[:, 0] if waves is None else np.sin(waves * X[:, 0])
    return X, (first * X[:, 1] > 0).astype(int)


@pytest.fixture(scope="module")
def model():
    X, y = noisy()
    return NMFNetClassifier((80, 70), max_iter=10, numeric_encoding="standard", random_state=0).fit(X, y)


@pytest.mark.parametrize(
    ("kind", "weighted", "l1_ratio", "size"),
    [("classes", False, 0.0, 1.0), ("real", True, 0.5, 1.0), ("real", False, 0.0, 1e-9)],
    ids=["classes", "real", "outputs start at almost 0"],
)
def test_a_stack_of_networks_moves_as_each_of_them_would_alone(kind, weighted, l1_ratio, size):
    rng = torch.Generator().manual_seed(0)
    X = torch.randn(200, 5, generator=rng, dtype=torch.float64) * torch.tensor([1, 10, 0.1, 5, 1])
    labels = (X[:, 0] > 0).long() + (X[:, 3] > 1)
    Y = torch.eye(3, dtype=X.dtype)[labels] if kind == "classes" else X[:, :2].square().cumsum(1)
    weight = torch.rand(200, generator=rng, dtype=X.dtype) + 0.1 if weighted else None
    solver, alphas = Relaxed(dropout=0.0), torch.tensor([0.0, 0.5, 30.0], dtype=X.dtype)
    architecture = Architecture([11, 9], "relu", True, kind)
    networks = [architecture.new_network(solver, InMemory(X, Y), rng) for _ in alphas]
    networks = [each.with_weights([*each.weights[:-1], size * each.weights[-1]]) for each in networks]
    plan = Plan(n_samples=200, n_updates=25, batch_size=80, l1_ratio=l1_ratio)
    weights = [torch.stack(each) for each in zip(*(network.weights for network in networks), strict=True)]
    stack = solver.stack(networks[0], weights, alphas, plan)
    alone = []
    for alpha, network in zip(alphas, networks, strict=True):
        own = replace(plan, alpha=float(alpha))
        network = network.with_weights(copied(network.weights))
        alone.append(RelaxedSweep(solver.resolved(network, own), network, own))
    for _ in range(25):
        rows = torch.stack([torch.randperm(200, generator=rng)[:80] for _ in alphas])
        v = None if weight is None else weight[rows] / weight[rows].mean(1, keepdim=True)
        stack(networks[0].inputs(X)[rows], networks[0].scaled_targets(Y)[rows], v)
        for k, sweep in enumerate(alone):
            sweep(X[rows[k]], Y[rows[k]], None if v is None else v[k])
    for k, sweep in enumerate(alone):
        for W, stacked in zip(sweep.weights(), stack.means(), strict=True):
            torch.testing.assert_close(stacked[k], W, rtol=1e-6, atol=1e-8)


def test_one_member_that_diverges_leaves_the_others_alone():
    X, y = map(torch.from_numpy, curved())
    Y, solver = torch.eye(2, dtype=X.dtype)[y], Relaxed()
    network = Architecture([6], "relu", True, "classes").new_network(solver, InMemory(X, Y), torch.Generator())
    plan = Plan(n_samples=300, n_updates=20, batch_size=300)
    batch = network.inputs(X).expand(2, -1, -1), Y.expand(2, -1, -1)

    def trained(first):
        weights = [torch.stack([first * W, W]) for W in network.weights]
        sweep = solver.stack(network, weights, torch.zeros(2, dtype=X.dtype), plan)
        for _ in range(20):
            sweep(*batch)
        return sweep.means()

    for W, V in zip(trained(1.0), trained(1e200), strict=True):
        torch.testing.assert_close(W[1], V[1])


@pytest.mark.parametrize("hidden", [(), (4,), (4, 3)])
@pytest.mark.parametrize("bias", [False, True])
def test_networks_side_by_side_predict_their_mean(hidden, bias):
    X, rng = torch.randn(20, 5, dtype=torch.float64), torch.Generator().manual_seed(0)
    architecture = Architecture(list(hidden), "relu", bias, "real")
    networks = [architecture.new_network(Relaxed(), InMemory(X, X[:, :2]), rng) for _ in range(2)]
    wider = replace(architecture, hidden=[width + 1 for width in hidden])
    networks.append(wider.new_network(Relaxed(), InMemory(X, X[:, :2]), rng))
    mean = torch.stack([network.predict(X) for network in networks]).mean(0)
    torch.testing.assert_close(merged(networks).predict(X), mean)
    assert merged(networks).hidden == [3 * width + 1 for width in hidden]


def test_the_penalty_follows_the_data():
    X, y = noisy()
    strong = NMFNetClassifier((30,), random_state=0).fit(X, y)
    X, y = curved()
    weak = NMFNetClassifier((30,), random_state=0).fit(X, y)
    assert weak.alpha_ < strong.alpha_
    assert weak.score(X, y) > 0.9


def test_rows_that_occur_often_are_in_several_folds():
    """Of 16 kinds of rows a tenth has the other label: held-out rows tell so only if folds have copies of them."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 16, 400)
    X = (kind[:, None] >> np.arange(4)) % 2
    y = (kind % 3 == 0) ^ (rng.random(400) < 0.1)
    model = NMFNetClassifier((30,), random_state=0).fit(X, y)
    assert model.history_[0]["held_out_loss"] < 0.4  # 0.325 is the least, 0.69 that of a guess


def test_no_table_ends_as_a_constant_guess():
    X, y = curved(200, waves=5)
    assert len(set(NMFNetClassifier((128, 64), random_state=0).fit(X, y).predict(X))) == 2


def test_the_default_is_better_than_one_network_of_standardized_columns():
    X, y = make_friedman1(2000, noise=1.0, random_state=0)
    scores = []
    for parameters in ({}, {"n_members": 1, "numeric_encoding": "standard"}):
        models = [NMFNetRegressor((40,), random_state=seed, **parameters) for seed in range(3)]
        trained = [model.fit(X[200 * i : 200 * i + 200], y[200 * i : 200 * i + 200]) for i, model in enumerate(models)]
        scores.append(sum(model.score(X[1000:], y[1000:]) for model in trained))
    assert scores[0] > scores[1]


def test_probabilities_of_noise_are_cautious(model):
    X, y = noisy(600, seed=0)
    assert log_loss(y, model.predict_proba(X)) < 0.75


def test_what_was_chosen_is_told(model):
    members = model.n_members_
    assert 1 < members <= MOST_STACKED and model.network_.sizes == [12, 80, 70, 2]
    assert all(record["alpha"] == model.alpha_ and record["n_members"] == members for record in model.history_)
    assert 0 < model.history_[0]["held_out_loss"] < 1
    assert f"alpha = {model.alpha_:.3g}" in model._repr_html_() and f"; {members} networks" in model._repr_html_()
    single = clone(model).set_params(n_members=1).fit(*noisy())
    assert single.alpha_ is not None and single.network_.sizes == [12, 80, 70, 2]
    given = clone(model).set_params(n_members=1, alpha=0.5).fit(*noisy())
    assert given.alpha_ is None and given.n_members_ == 1 and "alpha" not in given.history_[0]


def test_the_same_seed_gives_the_same_model(model):
    again = clone(model).fit(*noisy())
    np.testing.assert_array_equal(again.predict_proba(noisy()[0]), model.predict_proba(noisy()[0]))


def test_the_mean_of_the_members_is_one_module_one_file_one_pickle(model, tmp_path):
    X = noisy()[0]
    expected = model.predict_proba(X)
    np.testing.assert_allclose(model.to_torch()(torch.from_numpy(X)).detach(), expected, atol=1e-10)
    model.save(tmp_path / "model.safetensors")
    for other in (nmfnet.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict_proba(X), expected)
        assert other.n_members_ == model.n_members_ and other.alpha_ == model.alpha_
        other.partial_fit(X, noisy()[1])
        assert other.n_members_ == model.n_members_ and other.network_.sizes == model.network_.sizes


@pytest.mark.parametrize("Estimator", [NMFNetClassifier, NMFNetRegressor])
def test_training_goes_on_with_the_penalty_of_the_folds(Estimator):
    X, y = noisy()
    model = Estimator((6,), max_iter=3, warm_start=True, n_members="auto", random_state=0).fit(X, y)
    alpha = model.alpha_
    assert alpha is not None and model.n_members_ == 1
    model.fit(X, y)
    assert model.n_iter_ == 6 and model.alpha_ == alpha


def test_a_validation_set_decides_of_one_network():
    X, y = noisy()
    model = NMFNetClassifier((6,), early_stopping=True, n_members="auto", random_state=0).fit(X, y)
    assert model.n_members_ == 1 and model.alpha_ is not None


@pytest.mark.parametrize(
    ("parameters", "change"),
    [
        ({"solver": "pinv"}, lambda X: X),
        ({"pretrain": "nmf"}, abs),
        ({}, csr_array),
        ({}, lambda X: X[:20]),
        ({}, lambda X: np.random.default_rng(0).random((len(X), 64))),
    ],
    ids=["pinv", "pre-training", "sparse", "few rows", "pixels"],
)
def test_where_there_are_no_folds(parameters, change):
    X, y = noisy()
    X = change(X)
    model = NMFNetClassifier((4,), max_iter=2, random_state=0, **parameters).fit(X, y[: X.shape[0]])
    assert model.n_members_ == 1 and model.alpha_ is None
    if parameters or X.shape[1] < 64:
        with pytest.raises(ValueError, match="n_members=3 needs"):
            clone(model).set_params(n_members=3).fit(X, y[: X.shape[0]])


def test_large_tables_choose_the_penalty_by_some_rows():
    X, y = noisy(MOST_FOLDED + 100)
    model = NMFNetClassifier((4,), max_iter=1, n_members="auto", random_state=0).fit(X, y)
    assert model.n_members_ == 1 and model.alpha_ is not None


@pytest.mark.parametrize("n_members", [2, 7, MOST_MEMBERS])
def test_as_many_members_as_asked_for(n_members):
    X, y = noisy(60)
    model = NMFNetRegressor((3,), max_iter=2, n_members=n_members, random_state=0).fit(X, y)
    assert model.n_members_ == n_members and model.network_.sizes[1] == 3 * n_members


def test_networks_of_folds_are_narrow_and_alike_for_all_widths():
    X, y = noisy(60)
    narrow, wide = (
        NMFNetRegressor((width,), max_iter=2, n_members=3, random_state=0).fit(X, y)
        for width in (FOLD_UNITS, FOLD_UNITS + 9)
    )
    assert wide.network_.sizes[1] == 3 * FOLD_UNITS + 9
    assert wide.alpha_ == narrow.alpha_
    np.testing.assert_array_equal(wide.coefs_[0][:, -FOLD_UNITS:], narrow.coefs_[0][:, -FOLD_UNITS:])


@pytest.mark.parametrize("n_members", [0, MOST_MEMBERS + 1, 2.5, "all"])
def test_unfit_numbers_of_members_are_refused(n_members):
    with pytest.raises(ValueError, match="n_members must be"):
        NMFNetClassifier((3,), n_members=n_members).fit(*noisy(60))


def test_a_penalty_that_is_given_stays():
    X, y = noisy(60)
    model = NMFNetClassifier(max_iter=2, alpha=0.7, random_state=0).fit(X, y)
    assert model.alpha_ is None and model.n_members_ == 1
    with pytest.raises(ValueError, match="at most 5 unless alpha='auto'"):
        model.set_params(n_members=6).fit(X, y)


def test_weights_of_samples_and_their_unit():
    X, y = noisy()
    weight = np.random.default_rng(0).random(len(y))
    one, other = (NMFNetClassifier((5,), max_iter=3, random_state=0).fit(X, y, w) for w in (weight, 1e3 * weight))
    assert one.alpha_ == pytest.approx(other.alpha_)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=1e-6)


def test_folds_hold_every_row_once_and_classes_in_proportion():
    X = torch.randn(101, 3, dtype=torch.float64)
    Y = torch.eye(2, dtype=X.dtype)[(torch.arange(101) < 8).long()]
    network = Architecture([2], "relu", True, "classes").new_network(Relaxed(), InMemory(X, Y), torch.Generator())
    data = Folded.of(network, InMemory(X, Y), 101, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(data.held_out).tolist()) == list(range(101))
    for held_out, trained in zip(data.held_out, data.trained, strict=True):
        assert not set(held_out.tolist()) & set(trained.tolist())
        assert data.Y[held_out].sum(0).min() == 2
    assert len(PENALTIES) > 1


@pytest.mark.parametrize("n", [60, MOST_FOLDED + 50])
def test_orders_and_copies_do_not_change_the_folds(n):
    rng = torch.Generator().manual_seed(1)
    X, Y = torch.randn(n, 3, generator=rng), torch.eye(2)[torch.arange(n) % 2]
    copies = torch.cat([torch.arange(n)] * 3)[torch.randperm(3 * n, generator=rng)]
    columns, outputs = torch.tensor([2, 0, 1]), torch.tensor([1, 0])
    found = []
    for inputs, targets in ((X, Y), (X[copies][:, columns], Y[copies][:, outputs])):
        source = InMemory(inputs, targets)
        network = Architecture([2], "relu", True, "classes").new_network(Relaxed(), source, rng)
        found.append(Folded.of(network, source, MOST_FOLDED, torch.Generator().manual_seed(0)))
    one, two = found
    assert one.weight is None and two.weight is None
    assert columns[two.columns].tolist() == one.columns.tolist()
    for a, b in zip(
        (one.X, one.Y, *one.held_out, *one.trained), (two.X, two.Y, *two.held_out, *two.trained), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_members_predict_as_they_did_in_the_order_of_the_folds():
    """Columns and classes are in another order there: what is averaged must be in that of the network."""
    X, y = make_classification(300, 6, n_informative=4, n_classes=3, class_sep=3, random_state=0)
    model = NMFNetClassifier((20,), n_members=4, random_state=0).fit(X, y)
    for first, last in zip(model.coefs_[0].T.reshape(4, 20, 6), model.coefs_[1].reshape(4, 20, 3), strict=True):
        member = np.maximum(X @ first.T, 0) @ last  # without biases, which matter little here
        assert (member.argmax(1) == y).mean() > 0.8


def test_few_different_rows_leave_the_penalty_to_the_rule():
    X, y = noisy(25)
    once, often = (NMFNetClassifier((3,), max_iter=1).fit(np.tile(X, (n, 1)), np.tile(y, n)).alpha_ for n in (1, 4))
    assert once == often


@pytest.mark.filterwarnings("error")
def test_a_resumed_fit_has_the_same_members(tmp_path, monkeypatch):
    X, y = noisy()

    class Stop(nmfnet.Callback):
        def on_batch_end(self, batch, n_batches):
            raise RuntimeError

    def fit(*callbacks, **parameters):
        model = NMFNetClassifier((6,), max_iter=4, n_members="auto", random_state=0, callbacks=callbacks, **parameters)
        return model.fit(X, y)

    whole = fit()
    with pytest.raises(RuntimeError):
        fit(Checkpoint(tmp_path, every=1), Stop())
    monkeypatch.setattr("nmfnet.training.folds._from_folds", None)  # they come from the file
    resumed = fit(Checkpoint(tmp_path, every=1, resume=True))
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))
    assert resumed.alpha_ == whole.alpha_


def test_the_penalty_of_the_least_loss_is_chosen_and_its_networks_come_first():
    rng = torch.Generator().manual_seed(0)
    X, B = torch.randn(40, 3, generator=rng), torch.randn(3, 2, generator=rng)
    held_out = list(torch.arange(40).split(10))
    trained = torch.stack([torch.cat([part for part in held_out if part is not each]) for each in held_out])
    data = Folded(X, X @ B, None, torch.arange(3), torch.arange(2), held_out, trained)
    network = Architecture([], "relu", False, "real").new_network(Relaxed(), InMemory(X, X @ B), rng)
    network = replace(network, inputs=None, targets=None)
    errors = [0.5, 0.01, 0.2, float("nan")]
    found, _ = _best(
        network, [torch.stack([(1 + e) * B for _ in range(FOLDS) for e in errors])], data, [0.0, 1.0, 2.0, 3.0]
    )
    assert found.alpha == 1.0 and found.loss == pytest.approx(float((0.01 * X @ B).square().mean()), rel=1)
    assert len(found.members[0]) == 3 * FOLDS  # those of the third penalty diverged
    for i, error in enumerate((0.01, 0.2, 0.5)):
        for W in found.members[0][i * FOLDS : (i + 1) * FOLDS]:
            torch.testing.assert_close(W, (1 + error) * B)
