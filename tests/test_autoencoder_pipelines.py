"""The autoencoder as a part of scikit-learn's pipelines, searches and column transformers."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from nmfnet import NMFAutoencoder, NMFPretraining, Relaxed


def autoencoder(**settings):
    return NMFAutoencoder((12, 4), pretrain=NMFPretraining(n_ae=3), max_iter=1, random_state=0, **settings)


@pytest.fixture(scope="module")
def X(digits):
    return digits[0][:300]


@pytest.fixture
def frame(X):
    return pd.DataFrame(X, columns=[f"p{i}" for i in range(X.shape[1])])


def test_names_of_columns_go_through(X, frame):
    names = [f"nmfautoencoder{i}" for i in range(4)]
    out = make_pipeline(MinMaxScaler(), autoencoder()).set_output(transform="pandas").fit_transform(frame)
    assert out.columns.tolist() == names and out.index.equals(frame.index)
    part = ColumnTransformer([("code", autoencoder(), ["p20", "p21", "p28"]), ("rest", "passthrough", ["p40"])])
    assert part.fit(frame).get_feature_names_out().tolist() == [f"code__{name}" for name in names] + ["rest__p40"]
    fitted = autoencoder().fit(frame)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.transform(frame[frame.columns[::-1]])
    np.testing.assert_array_equal(fitted.transform(frame), autoencoder().fit(X).transform(X))


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_sparse_input_is_what_the_dense_one_is(kind, X, monkeypatch):
    monkeypatch.setattr("nmfnet.transformers.autoencoder.ROWS", 70)  # some at a time
    expected, found = autoencoder().fit(X), autoencoder().fit(kind(X))
    np.testing.assert_allclose(found.transform(kind(X)), expected.transform(X), atol=1e-12)
    assert found.score(kind(X)) == pytest.approx(expected.score(X))
    out = found.set_output(transform="pandas").transform(kind(X))
    assert out.shape == (300, 4)


def test_sparse_frames(X, frame):
    thin = frame.astype(pd.SparseDtype("float64", 0.0))
    np.testing.assert_allclose(autoencoder().fit(thin).transform(thin), autoencoder().fit(X).transform(X), atol=1e-12)


def test_negative_and_missing_values_of_sparse_input_are_refused(X):
    with pytest.raises(ValueError, match="Negative values"):
        autoencoder().fit(sparse.csr_array(-X))
    bad = sparse.csr_array(X)
    bad.data[0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        autoencoder().fit(bad)


def test_searches(X, digits):
    y = digits[2].ravel()[:300]
    model = make_pipeline(autoencoder(), LogisticRegression(max_iter=1000))
    search = GridSearchCV(model, {"nmfautoencoder__hidden_layer_sizes": [1, (12, 8)]}, cv=2).fit(X, y)
    assert search.best_params_ == {"nmfautoencoder__hidden_layer_sizes": (12, 8)}
    search = GridSearchCV(autoencoder(solver=Relaxed()), {"solver__dropout": [0.0, 0.1]}, cv=2).fit(X)
    assert set(search.best_params_) == {"solver__dropout"}
    with pytest.raises(ValueError, match=r"solver is 'relaxed', .* pass solver=Relaxed\(\)"):
        GridSearchCV(autoencoder(), {"solver__dropout": [0.1]}, cv=2).fit(X)


def test_the_score_is_the_share_of_the_variance(X):
    model = autoencoder().fit(X)
    decoded = model.decode(model.encode(X))
    expected = 1 - ((X - decoded) ** 2).sum() / ((X - X.mean(0)) ** 2).sum()
    assert model.score(X) == pytest.approx(expected) and 0 < model.score(X) < 1
    assert r2_score(X, decoded, multioutput="variance_weighted") == pytest.approx(model.score(X))
    frame = pd.DataFrame(X).rename(columns=str)
    assert autoencoder().set_output(transform="pandas").fit(frame).score(frame) == pytest.approx(model.score(X))


def test_clones_are_unfitted_and_alike(X):
    model = autoencoder(activation="softplus", solver=Relaxed(dropout=0.1)).fit(X)
    copy = clone(model)
    assert not copy.__sklearn_is_fitted__() and repr(copy) == repr(model)
    np.testing.assert_array_equal(copy.fit(X).transform(X), model.transform(X))
