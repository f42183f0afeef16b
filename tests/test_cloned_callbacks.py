"""Callbacks of estimators that are cloned, copied, pickled, or fitted at the same time."""

import copy
import io
import pickle
import threading

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nmfnet import Checkpoint, CheckpointError, NMFNetClassifier, NMFNetRegressor, fit_module
from nmfnet.callbacks import Callback, EarlyStopping, History, MLflowLogger, Progress, TensorBoardLogger

GRID = {"hidden_layer_sizes": [(3,), (4,), (5,)]}


def model(*callbacks, **parameters):
    return NMFNetClassifier((3,), **{"max_iter": 3, "random_state": 0, "callbacks": callbacks, **parameters})


def epochs(history):
    return [[record["epoch"] for record in fit] for fit in history.fits]


@pytest.mark.parametrize(("backend", "n_jobs"), [("loky", 1), ("threading", 1), ("threading", 3)])
def test_history_of_every_fit_of_a_search(backend, n_jobs, small):
    history = History()
    with joblib.parallel_config(backend):
        search = GridSearchCV(model(history), GRID, cv=2, n_jobs=n_jobs, error_score="raise").fit(*small)
    assert epochs(history) == [[1, 2, 3]] * 7
    assert history.fits[-1] == search.best_estimator_.history_


@pytest.mark.parametrize(
    "fit",
    [
        lambda m, X, y: cross_val_score(m, X, y, cv=2),
        lambda m, X, y: cross_val_score(make_pipeline(StandardScaler(), m), X, y, cv=2),
        lambda m, X, y: BaggingClassifier(m, n_estimators=2).fit(X, y),
        lambda m, X, y: VotingClassifier([("a", m), ("b", m)]).fit(X, y),
        lambda m, X, y: [clone(m).fit(X, y), clone(clone(m).set_params(callbacks=list(m.callbacks))).fit(X, y)],
        lambda m, X, y: GridSearchCV(m, {"callbacks": [m.callbacks]}, cv=2, refit=False).fit(X, y),
    ],
)
def test_history_of_every_clone(fit, small):
    history = History()
    fit(model(history), *small)
    assert epochs(history) == [[1, 2, 3]] * 2


def test_history_of_a_fit_within_a_fit(small):
    history = History()

    class Inner(Callback):
        def on_epoch_end(self, network, record):
            model(history, max_iter=1).fit(*small)

    outer = model(history, Inner(), max_iter=2).fit(*small)
    assert epochs(history) == [[1, 2], [1], [1]] and history.fits[0] == outer.history_


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_that_are_no_clones_have_a_history_of_their_own(copied, small):
    history = History()
    fitted = model(history).fit(*small)
    other = copied(fitted)
    assert other.callbacks[0].fits == history.fits
    other.fit(*small)
    assert len(history.fits) == 1 and len(other.callbacks[0].fits) == 2


@pytest.mark.parametrize("Estimator", [NMFNetClassifier, NMFNetRegressor])
def test_one_early_stopping_of_fits_in_threads(Estimator, small):
    """Each fit ends with its own best weights, though they share the callback."""
    X, y = small
    start, stop = threading.Barrier(4, timeout=10), EarlyStopping(patience=5)

    class Together(Callback):
        def on_epoch_begin(self, epoch):
            if epoch <= 5:
                start.wait()

    def make(seed, *callbacks):
        return Estimator((8,), max_iter=30, n_iter_no_change=30, random_state=seed, callbacks=callbacks)

    models = [make(seed, stop, Together()) for seed in range(4)]
    threads = [threading.Thread(target=m.fit, args=(X, y), kwargs={"X_val": X[::3], "y_val": y[::3]}) for m in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, each in enumerate(models):
        alone = make(seed, EarlyStopping(patience=5)).fit(X, y, X_val=X[::3], y_val=y[::3])
        assert len(each.history_) == len(alone.history_)
        np.testing.assert_array_equal(each.coefs_[0], alone.coefs_[0])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_in_a_search(n_jobs, small):
    rich = pytest.importorskip("rich.console")
    console = rich.Console(file=io.StringIO(), force_terminal=True, width=150)
    with joblib.parallel_config("threading"):
        GridSearchCV(model(Progress(console)), GRID, cv=2, n_jobs=n_jobs, error_score="raise").fit(*small)
    assert "epoch 3/3" in console.file.getvalue()


def test_a_second_bar_on_a_console_that_shows_one(small, monkeypatch):
    """With rich before 14.1 that is an error."""
    errors = pytest.importorskip("rich.errors")
    monkeypatch.setattr("rich.console.Console.set_live", lambda *_: (_ for _ in ()).throw(errors.LiveError("one")))
    assert model(Progress()).fit(*small).n_iter_ == 3


def test_progress_goes_to_other_processes(small):
    rich = pytest.importorskip("rich.console")
    progress = Progress(rich.Console(file=io.StringIO()), transient=True)
    again = pickle.loads(pickle.dumps(progress))
    assert again.console is None and again.transient
    for copied in (copy.copy(progress), copy.deepcopy(progress), clone(progress, safe=False)):
        assert copied is not progress and copied.console is progress.console


@pytest.mark.parametrize("given", [True, False])
def test_tensorboard_has_a_folder_for_each_fit_of_a_search(given, small, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.chdir(tmp_path)
    logger = TensorBoardLogger(tmp_path / "runs" if given else None)
    cross_val_score(model(logger), *small, cv=3, error_score="raise")
    folders = sorted({path.parent for path in tmp_path.rglob("events*")})
    assert len(folders) == 3 and {folder.parent for folder in folders} == {tmp_path / "runs"}
    model(logger).fit(*small)
    assert len({path.parent for path in tmp_path.rglob("events*")}) == 4


@pytest.mark.parametrize("active", [True, False])
def test_mlflow_has_a_run_for_each_fit_of_a_search(active, small, monkeypatch):
    calls = []

    class FakeMLflow:
        def __getattr__(self, name):
            return lambda *args, **kwargs: calls.append((name, kwargs))

        def active_run(self):
            return object() if active else None

    monkeypatch.setitem(__import__("sys").modules, "mlflow", FakeMLflow())
    cross_val_score(model(MLflowLogger()), *small, cv=2, error_score="raise")
    assert [kwargs for name, kwargs in calls if name == "start_run"] == [{"nested": active}] * 2
    assert [name for name, _ in calls].count("end_run") == 2


def test_a_checkpoint_is_of_one_training(small, tmp_path):
    """A search that resumes says so; one that does not writes over what is there."""
    assert np.isfinite(cross_val_score(model(Checkpoint(tmp_path)), *small, cv=2)).all()
    with pytest.raises(CheckpointError, match="of another training"):
        cross_val_score(model(Checkpoint(tmp_path, resume=True)), *small, cv=2, error_score="raise")


class Counts(Callback):
    def __init__(self):
        self.fits = 0

    def on_fit_begin(self, network, max_iter):
        self.fits += 1


class SharedCounts(Counts):
    def __sklearn_clone__(self):
        return self


def test_callbacks_of_ones_own_are_copied_unless_they_say_otherwise(small):
    counts, shared = Counts(), SharedCounts()
    cross_val_score(model(counts, shared), *small, cv=2)
    assert (counts.fits, shared.fits) == (0, 2)


def test_one_callback_of_several_estimators(small):
    history, stop = History(), EarlyStopping("objective", patience=1, min_delta=1e9)
    one = model(history, stop).fit(*small)
    two = NMFNetRegressor((3,), max_iter=5, callbacks=[history, stop], random_state=0).fit(*small)
    assert history.fits == [one.history_, two.history_]
    assert one.n_iter_ == two.n_iter_ == 2


def test_history_of_a_module(small):
    torch = pytest.importorskip("torch")
    history = History()
    records = fit_module(torch.nn.Sequential(torch.nn.Linear(5, 3)), *small, max_iter=2, callbacks=[history])
    assert history.fits == [records]
