"""Versions of the model file, and its schemas."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from jsonschema import Draft202012Validator
from safetensors.torch import safe_open, save_file
from scipy.sparse import csr_array, issparse
from sklearn.datasets import load_iris

import nmfnet
from nmfnet import ModelFileError, NMFNetClassifier
from nmfnet.estimators.model_files import ESTIMATORS, FORMAT_VERSION, RENAMED, SETTINGS
from nmfnet.layers import SPECS, Conv1d, MaxPool1d
from nmfnet.layers.activations import ACTIVATIONS
from nmfnet.network.outputs import OUTPUTS
from nmfnet.storage.schemas import read_schema


@pytest.mark.parametrize(
    ("version", "solver", "output"),
    [(1, "pinv", "identity"), (2, "relaxed", "softmax"), (3, "relaxed", "sigmoid"), (4, "relaxed", "softmax")],
)
def test_files_of_earlier_formats_load(version, solver, output):
    """And predict what they did, whatever the defaults are now."""
    model = nmfnet.load(Path(__file__).parent / "models" / f"format-{version}.safetensors")
    X, y = load_iris(return_X_y=True)
    assert model.solver == solver and model.network_.output.name == output
    assert model.n_members == 1 and model.numeric_encoding == "standard"
    assert (model.network_.inputs is None) == (version == 1)
    assert (model.temperature_ is None) == (model._stream_ is None) == (version < 4)
    if version == 4:
        X = pd.DataFrame(X, columns=["a", "b", "c", "width"]).assign(c=np.where(X[:, 2] > 4.9, "long", "short"))
        X.loc[::10, "b"] = np.nan
        assert model.input_encoder_.get_feature_names_out() == ["a", "b", "c_long", "c_short", "width", "b_missing"]
        assert model.score(X, y) > 0.9
        return
    labels = {1: y, 2: load_iris().target_names[y], 3: csr_array(np.eye(3, dtype=int)[y])}[version]
    assert model.score(X.astype(np.float32), labels) > 0.9
    assert issparse(model.predict(X)) == (version == 3)
    assert model.n_iter_no_change == (math.inf if version == 3 else 10)


def test_a_file_of_format_5_has_layers_of_sequences():
    model = nmfnet.load(Path(__file__).parent / "models" / "format-5.safetensors")
    X, y = load_iris(return_X_y=True)
    assert model.hidden_layer_sizes == (Conv1d(8, 2), MaxPool1d(2, stride=1), 8) and model.input_shape_ == (1, 4)
    assert model.score(X.astype(np.float32), y) == model.score(X.astype(np.float32)[:, None], y) > 0.9


def test_a_file_of_format_6_has_pieces():
    model = nmfnet.load(Path(__file__).parent / "models" / "format-6.safetensors")
    X, y = load_iris(return_X_y=True)
    assert model.network_.inputs.pieces == (8, 8, 8, 8) and model.network_.sizes == [4, 8, 3]
    assert model.score(X.astype(np.float32), y) > 0.9


def test_every_format_has_a_schema_and_a_file(tmp_path):
    saved = tmp_path / "model.safetensors"
    NMFNetClassifier((4,), max_iter=1).fit([[0.0], [1.0]], [0, 1]).save(saved)
    versions = range(1, FORMAT_VERSION + 1)
    for version in versions:
        Draft202012Validator.check_schema(read_schema(f"model-{version}"))
        assert (Path(__file__).parent / "models" / f"format-{version}.safetensors").is_file()
    with safe_open(saved, framework="pt") as file:
        assert json.loads(file.metadata()["nmfnet"])["format_version"] == FORMAT_VERSION


def test_names_in_the_schemas_are_those_of_the_package():
    schema = read_schema(f"model-{FORMAT_VERSION}")
    assert set(schema["properties"]["estimator"]["enum"]) == set(ESTIMATORS)
    assert set(schema["$defs"]["parameter"]["properties"]["settings"]["enum"]) == {*SETTINGS, *RENAMED}
    assert set(schema["$defs"]["layer"]["properties"]["layer"]["enum"]) == set(SPECS)
    assert set(schema["$defs"]["activation"]["enum"]) == set(ACTIVATIONS)
    assert set(schema["properties"]["network"]["properties"]["output"]["enum"]) == set(OUTPUTS)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("inputs.shift", lambda t: t[:-1], "do not fit"),
        ("inputs.factor", lambda t: t * float("nan"), "not finite"),
        ("inputs.factor", lambda t: t.double(), "dtype"),
    ],
)
def test_scalings_that_do_not_fit_are_refused(tmp_path, name, change, message):
    X, y = load_iris(return_X_y=True)
    NMFNetClassifier((4,), max_iter=2).fit(X.astype(np.float32), y).save(tmp_path / "model")
    with safe_open(tmp_path / "model", framework="pt") as file:
        tensors, metadata = {key: file.get_tensor(key) for key in list(file.keys())}, file.metadata()
    save_file({**tensors, name: change(tensors[name]).contiguous()}, tmp_path / "other", metadata=metadata)
    with pytest.raises(ModelFileError, match=message):
        nmfnet.load(tmp_path / "other")
