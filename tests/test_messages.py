"""Messages that say what to do."""

import importlib.util
import sys

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from nmfnet import NMF, NMFAutoencoder, NMFNetClassifier, NMFNetRegressor, NMFPretraining, Pinv, Relaxed
from nmfnet.plotting.axes import pyplot

X = np.random.default_rng(0).random((30, 4))
Y = np.arange(30) % 2


def test_settings_of_solvers_that_are_names():
    with pytest.raises(ValueError, match=r"solver__dropout: solver is 'relaxed', .* pass solver=Relaxed\(\)"):
        GridSearchCV(NMFNetClassifier(), {"solver__dropout": [0.1]}).fit(X, Y)
    with pytest.raises(ValueError, match=r"solver__n_w: solver is 'pinv', .* pass solver=Pinv\(\)"):
        NMFNetClassifier(solver="pinv").set_params(solver__n_w=3)
    with pytest.raises(ValueError, match=r"pretrain__n_ae: pretrain is None, .* pass pretrain=NMFPretraining\(\)"):
        NMFNetClassifier().set_params(pretrain__n_ae=3)
    model = NMFNetClassifier(pretrain=NMFPretraining()).set_params(
        solver=Relaxed(), solver__dropout=0.3, pretrain__n_ae=2
    )
    assert model.solver.dropout == 0.3 and model.pretrain.n_ae == 2


def test_widths_that_are_text():
    with pytest.raises(
        ValueError, match=r"hidden_layer_sizes must be an integer or several, as \(100,\); got the text"
    ):
        NMFNetClassifier("100").fit(X, Y)
    with pytest.raises(ValueError, match="got the text '100'"):
        NMFAutoencoder("100").fit(np.abs(X))


def test_inputs_that_are_text():
    for wrong in NMFNetClassifier(), NMF(1):
        with pytest.raises(ValueError, match="X is an array or a list of text: pass a data frame"):
            wrong.fit(np.array([["a"], ["b"]] * 15), Y)


@pytest.mark.parametrize("wrap", [list, np.array, lambda y: np.array(y, dtype=object)])
def test_targets_that_are_text(wrap):
    with pytest.raises(
        ValueError, match=r"targets that are text, as '\$0' in row 2: make numbers of them, or use NMFNetC"
    ):
        NMFNetRegressor().fit(X, wrap(["1", "2", "$0"] * 10))
    assert NMFNetRegressor((3,), max_iter=1).fit(X, wrap(["1", "2.5", "3"] * 10)).predict(X).dtype == float


def test_extras_are_named(tmp_path, monkeypatch):
    model = NMFNetClassifier((3,), max_iter=1).fit(X, Y)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for method in ("predict", "transform"):
        with pytest.raises(ImportError, match=r"pip install 'nmfnet\[onnx\]'"):
            model.to_onnx(tmp_path / "a.onnx", method)
    for name in [each for each in sys.modules if each.split(".")[:2] == ["nmfnet", "report"]]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"reports need matplotlib: pip install 'nmfnet\[cli\]'"):
        importlib.import_module("nmfnet.report")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'nmfnet\[cli\]'"):
        pyplot()


def test_the_papers_settings():
    assert Pinv.paper().get_params() == Pinv(delta=1e-14, delta_x=5e-3, n_w=10, n_z=1).get_params()
