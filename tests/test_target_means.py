"""Columns of very many categories: mean targets in place of indicators."""

import json

import numpy as np
import pytest
import torch
from sklearn.preprocessing import TargetEncoder

import nmfnet
from nmfnet import ModelFileError, NMFNetClassifier, NMFNetRegressor
from nmfnet.data.columns import table_of
from nmfnet.data.table_encoder import MOST_CATEGORIES, TableEncoder
from nmfnet.data.target_means import TargetMeans

pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
N, K = 2000, 400
SHOP = RNG.permutation(np.arange(N) % K)
VALUE = RNG.normal(size=K)[SHOP] + 0.3 * RNG.normal(size=N)
FRAME = pd.DataFrame({"shop": [f"shop {i}" for i in SHOP], "size": RNG.normal(size=N)})
CLASSES = np.digitize(VALUE, [-0.7, 0.7])


def encoded(frame=FRAME, Y=VALUE[:, None], train=False):
    encoder = TableEncoder.of(table_of(frame), Y=Y)
    return encoder, encoder.transform(table_of(frame), Y if train else None)


@pytest.mark.parametrize(
    ("model", "y", "outputs", "best"),
    [
        (NMFNetRegressor, VALUE, 1, 0.75),
        (NMFNetClassifier, VALUE > 0, 1, 0.75),
        (NMFNetClassifier, CLASSES, 3, 0.65),
        (NMFNetRegressor, np.stack([VALUE, -VALUE], 1), 2, 0.75),
    ],
)  # fmt: skip
def test_new_rows_of_many_categories_are_predicted(model, y, outputs, best):
    fitted = model((20,), random_state=0).fit(FRAME[:1500], y[:1500])
    assert fitted.network_.sizes[0] == outputs + 1
    assert fitted.score(FRAME[1500:], y[1500:]) > best


def test_means_are_scikit_learns():
    encoder, X = encoded()
    reference = TargetEncoder(target_type="continuous").fit(FRAME[["shop"]], VALUE)
    np.testing.assert_allclose(X[:, :1], reference.transform(FRAME[["shop"]]))
    np.testing.assert_array_equal(X[:, 1], FRAME["size"])
    assert encoder.get_feature_names_out() == ["shop_mean", "size"]


def test_no_row_sees_its_own_target():
    """Where the targets are noise, the means of rows in training tell nothing of them; those by all rows do."""
    noise = RNG.normal(size=(N, 1))
    betrayed, crossed = (encoded(Y=noise, train=train)[1][:, 0] for train in (False, True))
    assert np.corrcoef(betrayed, noise[:, 0])[0, 1] > 0.3
    assert abs(np.corrcoef(crossed, noise[:, 0])[0, 1]) < 0.1
    changed = noise.copy()
    changed[7] += 100
    assert encoded(Y=changed, train=True)[1][7, 0] == pytest.approx(crossed[7], abs=1e-12)


def test_unknown_and_missing_categories_have_the_mean_of_all():
    frame = FRAME.assign(shop=FRAME["shop"].where(np.arange(N) % 10 > 0, None))
    encoder, X = encoded(frame)
    assert encoder.get_feature_names_out() == ["shop_mean", "shop_missing", "size"]
    overall = VALUE[np.arange(N) % 10 > 0].mean()
    np.testing.assert_allclose(X[::10, 0], overall)
    np.testing.assert_array_equal(X[:, 1], np.arange(N) % 10 == 0)
    new = encoder.transform(table_of(frame[1:3].assign(shop=["nobody's", None])))
    np.testing.assert_allclose(new[:, 0], overall)


@pytest.mark.parametrize("n", [MOST_CATEGORIES, N // 2 + 1])
def test_few_categories_and_ids_have_none(n):
    frame = pd.DataFrame({"c": [str(i % n) for i in range(N)], "size": FRAME["size"]})
    encoder, _ = encoded(frame) if n < 300 else (TableEncoder.of(table_of(frame), Y=VALUE[:, None]), None)
    assert not any(isinstance(column, TargetMeans) for column in encoder.columns)


def test_files_streams_and_warm_starts(tmp_path):
    model = NMFNetClassifier((20,), random_state=0, max_iter=3, warm_start=True).fit(FRAME, CLASSES)
    model.save(tmp_path / "model")
    loaded = nmfnet.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(FRAME), model.predict_proba(FRAME))
    before = model.input_encoder_.table
    assert loaded.input_encoder_.table == before
    for each in (model, loaded):
        each.fit(FRAME, CLASSES).partial_fit(FRAME[:100], CLASSES[:100])
        assert each.input_encoder_.table == before
    np.testing.assert_array_equal(loaded.predict_proba(FRAME), model.predict_proba(FRAME))
    stream = NMFNetClassifier((20,), random_state=0).partial_fit(FRAME, CLASSES, classes=[0, 1, 2])
    assert stream.network_.sizes[0] == K + 3  # every category, others, missing ones, and the size


def test_modules_take_what_is_encoded():
    model = NMFNetRegressor((20,), random_state=0, max_iter=3).fit(FRAME, VALUE)
    with pytest.raises(ValueError, match="'shop'"):
        model.to_torch()
    X = torch.tensor(model.input_encoder_.transform(FRAME))
    np.testing.assert_allclose(model.to_torch(encoded=True)(X)[:, 0].detach().numpy(), model.predict(FRAME), rtol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["means"].pop(), lambda c: c["means"][0].append(1.0), lambda c: c.update(overall=[]),
        lambda c: c.update(means="many"), lambda c: c["values"].append(c["values"][0]), lambda c: c.pop("overall"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_refused(tmp_path, change):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path = tmp_path / "model"
    NMFNetRegressor((3,), max_iter=1).fit(FRAME, VALUE).save(path)
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["nmfnet"])
    change(header["state"]["input_encoder_"]["table"][0])
    save_file(load_file(path), path, metadata={"nmfnet": json.dumps(header)})
    with pytest.raises(ModelFileError):
        nmfnet.load(path)


def test_weights_near_zero_leave_rows_out():
    """Means are those of the other rows alone, in training, too; and no scale of the weights changes any."""
    heavy = RNG.random(N) < 0.5
    enough = np.bincount(SHOP, heavy)[SHOP] > 1
    weight, moved = np.where(heavy, 1.0, 1e-9), np.where(heavy, VALUE, 5.0)[:, None]
    table = table_of(FRAME)
    encoder = TableEncoder.of(table, Y=moved, weight=weight)
    reference = TargetEncoder(target_type="continuous").fit(FRAME[["shop"]][heavy], VALUE[heavy])
    np.testing.assert_allclose(
        encoder.transform(table)[enough, 0], reference.transform(FRAME[["shop"]])[enough, 0], atol=1e-6
    )
    crossed, plain = encoder.transform(table, moved, weight)[:, 0], encoder.transform(table, moved)[:, 0]
    of_heavy, of_all = (np.corrcoef(found[heavy], VALUE[heavy])[0, 1] for found in (crossed, plain))
    assert of_heavy > of_all + 0.1
    scaled = TableEncoder.of(table, Y=moved, weight=1e-6 * weight)
    np.testing.assert_allclose(scaled.transform(table, moved, 1e-6 * weight)[:, 0], crossed, atol=1e-9)


def test_fits_pass_weights_on():
    weight = RNG.integers(0, 4, N)
    model = NMFNetRegressor((3,), random_state=0, max_iter=1).fit(FRAME, VALUE, sample_weight=weight)
    shop = model.input_encoder_.table.columns[0]
    assert shop == TargetMeans.of(
        table_of(FRAME[weight > 0]).columns[0], VALUE[weight > 0, None], weight[weight > 0], str
    )
    np.testing.assert_allclose(shop.overall, np.average(VALUE, weights=weight))


def test_weights_of_classes_are_weights_of_rows():
    each = np.array([0.5, 1.0, 4.0])
    by_class = NMFNetClassifier((3,), random_state=0, max_iter=2, class_weight=dict(enumerate(each)))
    by_row = NMFNetClassifier((3,), random_state=0, max_iter=2).fit(FRAME, CLASSES, sample_weight=each[CLASSES])
    assert by_class.fit(FRAME, CLASSES).input_encoder_.table == by_row.input_encoder_.table
    np.testing.assert_allclose(by_class.predict_proba(FRAME[:50]), by_row.predict_proba(FRAME[:50]), rtol=1e-6)
    balanced = NMFNetClassifier((3,), max_iter=1, class_weight="balanced").fit(FRAME, CLASSES)
    np.testing.assert_allclose(balanced.input_encoder_.table.columns[0].overall, 1 / 3)
