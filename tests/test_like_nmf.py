"""What users of scikit-learn's NMF expect of ours: starting factors in `fit`, routed weights, warnings."""

import inspect
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.decomposition import NMF as Theirs
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline

from nmfnet import NMF, NonlinearSemiNMF, SemiNMF

FACTORIZATIONS = [NMF, SemiNMF, NonlinearSemiNMF]
each = pytest.mark.parametrize("Factorization", FACTORIZATIONS)
RNG = np.random.default_rng(0)
X, y, W, H = RNG.random((30, 6)), RNG.random(30), RNG.random((30, 2)), RNG.random((2, 6))
WEIGHTS = 1.0 + np.arange(30) % 4
DATA = [X, X.astype(np.float32), csr_array(X)]


CASES = [
    *((cls, p, data) for cls in (NMF, SemiNMF) for p in ({}, {"solver": "mu"}, {"batch_size": 10}) for data in DATA),
    *((NonlinearSemiNMF, p, data) for p in ({}, {"batch_size": 10}) for data in DATA[:2]),
]


@pytest.mark.parametrize(("Factorization", "parameters", "given"), CASES)
def test_starting_factors_in_fit(Factorization, parameters, given):
    settings = {"init": "custom", "max_iter": 3, "tol": 0, "random_state": 0, **parameters}
    expected, model = Factorization(**settings), Factorization(**settings)
    expected.fit_transform(given, W=W, H=H)
    assert model.fit(given, W=W, H=H) is model
    np.testing.assert_array_equal(model.components_, expected.components_)
    assert model.n_components_ == 2
    np.testing.assert_array_equal(Factorization(**settings).fit(given, None, W, H).components_, model.components_)
    assert (
        np.abs(Factorization(**settings).fit(given, W=W, H=2 * H[::-1]).components_ - model.components_).max() > 1e-3
    )


@each
def test_starting_factors_that_do_not_fit(Factorization):
    model = Factorization(2, init="custom")
    with pytest.raises(ValueError, match="W is missing: pass it to fit or fit_transform"):
        model.fit(X, H=H)
    with pytest.raises(ValueError, match=r"W must have shape \(30, 2\)"):
        model.fit(X, W=W[:5], H=H)
    with pytest.warns(RuntimeWarning, match="W and H are ignored with init=None"):
        Factorization(2, max_iter=1, tol=0).fit(X, W=W, H=H)


@each
def test_arguments_are_those_of_scikit_learn(Factorization):
    for method in ("fit_transform", "partial_fit", "fit"):
        names = list(inspect.signature(getattr(Factorization, method)).parameters)
        assert names == ["self", "X", "y", "W", "H", "weights"]
    assert list(inspect.signature(Theirs.fit_transform).parameters) == ["self", "X", "y", "W", "H"]


@each
def test_a_warning_where_the_criterion_is_not_met(Factorization):
    with pytest.warns(ConvergenceWarning, match=r"Maximum number of iterations 2 reached\. Increase it"):
        Factorization(2, max_iter=2, tol=1e-9).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Factorization(2, max_iter=2, tol=0).fit(X)
        Factorization(2, max_iter=500, tol=1e-2).fit(X)


@pytest.mark.parametrize(
    "request_of",
    [
        lambda model: model.set_fit_request(weights=True),
        lambda model: model.set_fit_request(weights=True).set_transform_request(weights=True),
        lambda model: model.set_fit_request(weights="weights"),
    ],
)
@each
def test_weights_are_routed_by_a_request_on_fit(Factorization, request_of):
    def model():
        return Factorization(2, max_iter=5, tol=0, random_state=0)

    expected = model().fit(X, weights=WEIGHTS)
    assert np.abs(model().fit(X).components_ - expected.components_).max() > 1e-4
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(request_of(model()), LinearRegression()).fit(X, y, weights=WEIGHTS)
        np.testing.assert_array_equal(pipeline[0].components_, expected.components_)
        np.testing.assert_array_equal(pipeline.predict(X), pipeline[1].predict(expected.transform(X)))
        of_rows = cross_validate(pipeline, X, y, cv=2, params={"weights": WEIGHTS}, error_score="raise")["test_score"]
        of_none = cross_validate(pipeline, X, y, cv=2, params={}, error_score="raise")["test_score"]
        assert np.abs(of_rows - of_none).max() > 0
        search = GridSearchCV(pipeline, {pipeline.steps[0][0] + "__n_components": [2]}, cv=2, error_score="raise")
        search.fit(X, y, weights=WEIGHTS)
        np.testing.assert_array_equal(search.best_estimator_[0].components_, expected.components_)


@each
def test_weights_that_nobody_asks_for(Factorization):
    model = Factorization(2, max_iter=5, tol=0, random_state=0)
    with config_context(enable_metadata_routing=True):
        with pytest.raises(ValueError, match="weights"):
            make_pipeline(model, LinearRegression()).fit(X, y, weights=WEIGHTS)
        last = LinearRegression().set_fit_request(sample_weight="weights")
        pipeline = make_pipeline(model.set_fit_request(weights=False), last).fit(X, y, weights=WEIGHTS)
        aliased = make_pipeline(Factorization(2, max_iter=5, tol=0, random_state=0).set_fit_request(weights="w"), last)
        aliased.fit(X, y, w=WEIGHTS, weights=WEIGHTS)
    expected = Factorization(2, max_iter=5, tol=0, random_state=0)
    np.testing.assert_array_equal(pipeline[0].components_, expected.fit(X).components_)
    np.testing.assert_array_equal(aliased[0].components_, expected.fit(X, weights=WEIGHTS).components_)
