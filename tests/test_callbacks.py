"""The callbacks: when they are called, what they see, and what they can do."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from nmfnet import NMFNetClassifier, NMFNetRegressor
from nmfnet.callbacks import Callback, EarlyStopping, History, MLflowLogger, Progress, TensorBoardLogger


class Log(Callback):
    def __init__(self):
        self.calls = []

    def on_fit_begin(self, network, max_iter):
        self.calls.append("fit begins")

    def on_pretrain_layer(self, layer, n_layers):
        self.calls.append(f"layer {layer}")

    def on_epoch_begin(self, epoch):
        self.calls.append(f"epoch {epoch} begins")

    def on_batch_end(self, batch, n_batches):
        self.calls.append(f"batch {batch}")

    def on_epoch_end(self, network, record):
        self.calls.append(f"epoch {record['epoch']} ends")
        return record["epoch"] == 2

    def on_fit_end(self, network):
        self.calls.append("fit ends")


def test_hooks_are_called_in_order_and_can_end_the_training(small):
    log = Log()
    model = NMFNetClassifier((3,), callbacks=[log], batch_size=20, pretrain="nmf", random_state=0).fit(*small)
    each = ["batch 1", "batch 2"]
    assert log.calls == [
        "fit begins", "layer 1", "epoch 1 begins", *each, "epoch 1 ends", "epoch 2 begins", *each, "epoch 2 ends",
        "fit ends",
    ]  # fmt: skip
    assert model.n_iter_ == 2


def test_the_end_is_announced_of_a_fit_that_fails(small):
    class Broken(Log):
        def on_epoch_end(self, network, record):
            raise RuntimeError("out of luck")

    callback = Broken()
    with pytest.raises(RuntimeError, match="out of luck"):
        NMFNetClassifier((3,), callbacks=[callback]).fit(*small)
    assert callback.calls[-1] == "fit ends"


def test_partial_fit_calls_none_but_prints(small, capsys):
    log = Log()
    NMFNetRegressor((3,), callbacks=[log], verbose=True).partial_fit(*small)
    assert log.calls == []
    assert capsys.readouterr().out.startswith("epoch 1, objective = ")


def test_history_of_every_fit(small):
    history = History()
    model = NMFNetClassifier((3,), max_iter=3, callbacks=[history]).fit(*small)
    first = model.history_
    model.fit(*small)
    assert history.fits == [first, model.history_]


class Within(Callback):
    """Fits another model, with the callback that it has, in the first epoch of each fit but its own."""

    def __init__(self, other):
        self.other, self.busy = other, False

    def on_epoch_end(self, network, record):
        if record["epoch"] == 1 and not self.busy:
            self.busy = True
            X = np.random.default_rng(1).random((30, 2))
            NMFNetClassifier((2,), max_iter=2, callbacks=[self.other]).fit(X, np.arange(30) % 2)
            self.busy = False


def test_a_fit_within_a_fit_leaves_the_other_one_alone(small):
    history = History()
    model = NMFNetClassifier((3,), max_iter=3, callbacks=[history, Within(history)]).fit(*small)
    outer, inner = history.fits
    assert outer == model.history_ and len(inner) == 2


@pytest.mark.parametrize("restore_best", [True, False])
def test_early_stopping(restore_best, digits):
    X, X_val, y, y_val = (part[:300] for part in digits)
    stop = EarlyStopping(patience=3, restore_best=restore_best)
    model = NMFNetClassifier((30,), max_iter=60, n_iter_no_change=60, callbacks=[stop], random_state=0)
    model.fit(X, y, X_val=X_val, y_val=y_val)
    losses = [record["val_loss"] for record in model.history_]
    assert stop.best_epoch == np.argmin(losses) + 1
    assert len(losses) == min(60, stop.best_epoch + 3)
    last = NMFNetClassifier((30,), max_iter=60, n_iter_no_change=60, random_state=0, callbacks=[Until(len(losses))])
    same = np.array_equal(last.fit(X, y).coefs_[0], model.coefs_[0])
    assert same != (restore_best and stop.best_epoch < len(losses))


class Until(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, network, record):
        return record["epoch"] == self.epoch


def test_early_stopping_of_what_is_not_there(small):
    with pytest.raises(ValueError, match="no 'val_loss' to monitor, only 'epoch', 'objective', 'train_loss'"):
        NMFNetClassifier((3,), callbacks=[EarlyStopping()]).fit(*small)
    model = NMFNetClassifier((3,), max_iter=2, callbacks=[EarlyStopping("objective", min_delta=1e9, patience=1)])
    assert model.fit(*small).n_iter_ == 2
    for settings in ({"patience": 0}, {"min_delta": -1}):
        with pytest.raises(ValueError, match="patience must be at least 1 and min_delta at least 0"):
            EarlyStopping(**settings)


def test_progress_shows_the_epochs(small):
    rich = pytest.importorskip("rich.console")
    console = rich.Console(file=io.StringIO(), force_terminal=True, width=150)
    progress = Progress(console)
    NMFNetClassifier((3,), max_iter=4, callbacks=[progress]).fit(*small)
    text = console.file.getvalue()
    assert "epoch 4/4" in text and "after epoch 4: train_loss" in text and "train_error" in text
    assert copy.deepcopy(progress).console is console


def test_tensorboard(small, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path)
    model = NMFNetRegressor((3,), max_iter=3, n_members=1, callbacks=[logger]).fit(*small)
    assert isinstance(model.history_[0]["numeric_encoding"], str)  # which is no number to draw
    events = EventAccumulator(str(tmp_path)).Reload()
    for name in ("objective", "train_loss", "train_error"):
        written = events.Scalars(name)
        assert [event.step for event in written] == [1, 2, 3]
        np.testing.assert_allclose([e.value for e in written], [r[name] for r in model.history_], rtol=1e-6)


@pytest.mark.parametrize("active", [True, False])
def test_mlflow(active, small, monkeypatch):
    """What is sent, to a run that is active or to one of its own."""
    calls = []

    class FakeMLflow:
        def __getattr__(self, name):
            return lambda *args, **kwargs: calls.append((name, args, kwargs))

        def active_run(self):
            return object() if active else None

    monkeypatch.setitem(__import__("sys").modules, "mlflow", FakeMLflow())
    model = NMFNetClassifier((3,), max_iter=2, callbacks=[MLflowLogger()]).fit(*small)
    names = [name for name, *_ in calls]
    run = [] if active else ["start_run"], [] if active else ["end_run"]
    assert names == [*run[0], "log_params", "log_metrics", "log_metrics", *run[1]]
    (_, (metrics,), step) = calls[-1 if active else -2]
    assert step == {"step": 2}
    assert metrics == {name: value for name, value in model.history_[1].items() if name != "epoch"}
    assert next(args for name, args, _ in calls if name == "log_params")[0]["units"] == "5-3-3"


@pytest.mark.parametrize(
    ("callback", "module"),
    [(Progress, "rich.live"), (TensorBoardLogger, "torch.utils.tensorboard"), (MLflowLogger, "mlflow")],
)
def test_what_is_not_installed_is_named(callback, module, small, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    log = Log()
    with pytest.raises(ImportError, match=r"pip install 'nmfnet\["):
        NMFNetClassifier((3,), callbacks=[log, callback(), Log()]).fit(*small)
    assert log.calls == ["fit begins", "fit ends"]


def test_mlflow_keeps_it(small, tmp_path, monkeypatch):
    """In files of its own, read back; each fit is a run, or all are in the one that is active."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    try:
        model = NMFNetClassifier((3,), max_iter=3, callbacks=[MLflowLogger()], random_state=0).fit(*small)
        (run,) = mlflow.search_runs(output_format="list")
        assert run.info.status == "FINISHED" and mlflow.active_run() is None
        assert run.data.params == {"units": "5-3-3", "activation": "relu", "output": "softmax", "max_iter": "3"}
        for name in ("objective", "train_loss", "train_error"):
            written = mlflow.MlflowClient().get_metric_history(run.info.run_id, name)
            assert [(each.step, each.value) for each in written] == [(r["epoch"], r[name]) for r in model.history_]
        with mlflow.start_run() as active:
            model.fit(*small)
            assert mlflow.active_run().info.run_id == active.info.run_id
        assert mlflow.get_run(active.info.run_id).data.metrics["train_loss"] == model.history_[-1]["train_loss"]
    finally:
        mlflow.set_tracking_uri(before)


@pytest.mark.parametrize("callback", [History(), EarlyStopping("objective"), Progress(), TensorBoardLogger("x")])
def test_callbacks_can_be_copied(callback):
    for again in (pickle.loads(pickle.dumps(callback)), copy.deepcopy(callback)):
        assert type(again) is type(callback)


class TestScikitLearnsCallbacks:
    """Through the experimental interface of scikit-learn 1.9."""

    callback = pytest.importorskip("sklearn.callback")

    def test_every_epoch_is_a_task(self, small):
        seen = Recorder()
        model = NMFNetClassifier((3,), max_iter=3, random_state=0).set_callbacks(seen).fit(*small)
        assert seen.calls == ["setup", "begin fit", *["begin epoch", "end epoch"] * 3, "end fit", "teardown"]
        np.testing.assert_array_equal(seen.predictions[-1], model.predict(small[0]))
        assert model.predict(small[0]).shape == (40,)

    def test_a_task_can_end_the_training(self, small):
        model = NMFNetClassifier((3,), max_iter=9).set_callbacks(Recorder(stop_after=2)).fit(*small)
        assert model.n_iter_ == 2

    def test_they_are_torn_down_where_the_fit_fails(self, small):
        seen = Recorder()
        with pytest.raises(ValueError, match="nonnegative"):
            NMFNetClassifier((3,), pretrain="nmf").set_callbacks(seen).fit(-small[0], small[1])
        assert seen.calls[0] == "setup" and seen.calls[-1] == "teardown"
        seen = Recorder()
        with pytest.raises(ValueError, match="max_iter"):
            NMFNetClassifier((3,), max_iter=-1).set_callbacks(seen).fit(*small)
        assert seen.calls == ["setup", "teardown"]

    def test_progress_bars_inside_a_grid_search(self, small, capsys):
        search = GridSearchCV(NMFNetClassifier(max_iter=2), {"hidden_layer_sizes": [(3,), (4,)]}, cv=2)
        search.set_callbacks(self.callback.ProgressBar(max_propagation_depth=1)).fit(*small)
        assert "NMFNetClassifier" in capsys.readouterr().out


class Recorder:
    def __init__(self, stop_after=None):
        self.calls, self.predictions, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X, fitted_estimator):
        self.calls.append(f"end {context.task_name}")
        self.predictions.append(fitted_estimator.predict(X))
        return self.calls.count("end epoch") == self.stop_after


class Keeper(Callback):
    def __init__(self):
        self.networks, self.copies = [], []

    def on_epoch_end(self, network, record):
        self.networks.append(network)
        self.copies.append([W.clone() for W in network.weights])


@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
def test_weights_stay_as_they_are_for_a_callback_that_keeps_them(solver, small):
    keeper = Keeper()
    NMFNetClassifier((3,), solver=solver, callbacks=[keeper], max_iter=4, batch_size=20, random_state=0).fit(*small)
    for network, copies in zip(keeper.networks, keeper.copies, strict=True):
        assert all(map(torch.equal, network.weights, copies))
    assert not torch.equal(keeper.copies[0][0], keeper.copies[1][0])
