"""What loading a model may do: the cases by name, and thousands of mutations."""

import json
import os
import random
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from safetensors.torch import save_file

import fuzzing
import nmfnet
from nmfnet import ModelFileError
from nmfnet.storage.schemas import check_schema, read_schema


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return fuzzing.base_files(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def watched(tmp_path_factory, files):
    path = tmp_path_factory.mktemp("fuzzed") / "model"
    for data in files:
        path.write_bytes(data)
        nmfnet.load(path)  # what is imported and read late
    return path, fuzzing.Watch(path)


@settings(max_examples=300)
@given(rng=st.randoms(use_true_random=False), number=st.integers(0, 9))
def test_a_mutated_file_is_a_model_or_the_one_error(files, watched, rng, number):
    path, watch = watched
    fuzzing.check(path, fuzzing.mutated(rng, files[number]), watch)


def test_seeded_mutations(files, watched):
    """Other mutations than those hypothesis thinks of."""
    path, watch = watched
    rng = random.Random(0)
    outcomes = {fuzzing.check(path, fuzzing.mutated(rng, rng.choice(files)), watch) for _ in range(500)}
    assert outcomes == {"model", "error"}


@settings(max_examples=200)
@given(rng=st.randoms(use_true_random=False), number=st.integers(0, 9), times=st.integers(0, 3))
def test_the_check_of_schemas_agrees_with_jsonschema(files, rng, number, times):
    data = files[number]
    header = json.loads(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["nmfnet"])
    name = f"model-{header['format_version']}"
    for _ in range(times):
        fuzzing.change_somewhere(rng, header)
    try:
        check_schema(header, name)
    except ValueError:
        fits = False
    else:
        fits = True
    assert fits == Draft202012Validator(read_schema(name)).is_valid(header)


def table_of(path):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def refused(path, message):
    with pytest.raises(ModelFileError, match=message):
        nmfnet.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["weight.1"].update(shape=[2**40, 2**40]), "has shape .* not of its size"),
        (lambda t: t["weight.1"].update(shape=[0, 2**47], data_offsets=[0, 0]), "no vector or matrix"),
        (lambda t: t["weight.1"].update(shape=[-5, -4]), "no vector or matrix"),
        (lambda t: t["weight.1"].update(shape=[True, 20]), "no vector or matrix"),
        (lambda t: t["weight.2"].update(t["weight.1"]), "overlap, or leave gaps"),
        (lambda t: t["weight.1"].update(dtype="F16"), "dtype 'F16'"),
        (lambda t: t["weight.1"].update(dtype=["F64"]), "dtype"),
        (lambda t: t.pop("weight.3"), "take .* bytes, but it has"),
        (lambda t: t.update({"../../etc/passwd": t.pop("weight.1")}), "weight"),
        (lambda t: t.update({"weight.1": 7}), "not one of safetensors"),
        (lambda t: t["__metadata__"].update(nmfnet=7), "has no 'nmfnet'"),
        (lambda t: t["__metadata__"].update(nmfnet="[1]"), "not a JSON object"),
        (lambda t: t["__metadata__"].update(nmfnet="{}"), "has format None"),
        (lambda t: t["__metadata__"].update(nmfnet='{"a": NaN}'), "NaN, which JSON does not have"),
        (lambda t: t["__metadata__"].update(nmfnet='{"a": 1, "a": 2}'), "a name twice"),
        (lambda t: t["__metadata__"].update(nmfnet="[" * 10**5), "many values|recursion|not a readable"),
        (
            lambda t: t["__metadata__"].update(nmfnet='{"a": [' + "[]," * 10**6 + "[]]}"),
            "too many values for its size",
        ),
    ],
)
def test_tables_that_lie(tmp_path, files, change, message):
    path = tmp_path / "model"
    path.write_bytes(files[-4])
    table, body = table_of(path)
    change(table)
    path.write_bytes(fuzzing.joined(json.dumps(table), body))
    refused(path, message)


def test_a_tensor_that_is_there_twice(tmp_path, files):
    path = tmp_path / "model"
    path.write_bytes(files[-4])
    table, body = table_of(path)
    entry = json.dumps({"weight.1": table["weight.1"]})[1:-1]
    path.write_bytes(fuzzing.joined(f"{{{entry}, {json.dumps(table)[1:]}", body))
    refused(path, "a name twice")


def test_a_string_without_end_is_read_once(files, watched):
    """Each of its quotes could be the first of another string: the time would grow with the square of its length."""
    path, watch = watched
    header = '{"__metadata__": {"nmfnet": "' + '\\"' * 10**5
    for end in ("", "\\", "\\\\", "\\n"):
        assert fuzzing.check(path, fuzzing.joined(header + end, b""), watch, memory=False) == "error"


@pytest.mark.parametrize("value", ["[]", "{}", '"ab"', '{"a":1}', '{"%x":0}', '{"%x":0,"a%x":0,"b%x":"ab"}', "[[]]"])
@pytest.mark.parametrize("form", ["list", "object"])
def test_values_that_take_more_memory_than_text(files, watched, value, form):
    path, watch = watched
    data = files[-4]
    values = [value.replace("%x", f"{i:x}") for i in range(5000)]
    text = ",".join(values if form == "list" else (f'"{i:x}":{each}' for i, each in enumerate(values)))
    text = f"[{text}]" if form == "list" else f"{{{text}}}"
    size = int.from_bytes(data[:8], "little")
    table, body = data[8 : 8 + size].decode(), data[8 + size :]
    inside = json.loads(table)
    inside["__metadata__"]["nmfnet"] = f'{{"x": {text}, {inside["__metadata__"]["nmfnet"][1:]}'
    for header in (f'{{"x": {text}, {table[1:]}', json.dumps(inside)):
        assert fuzzing.check(path, fuzzing.joined(header, body), watch) == "error"


def test_one_long_label_cannot_make_all_labels_long(tmp_path):
    """Labels in an array have the length of the longest."""
    header = {
        "format": "nmfnet", "format_version": 2, "estimator": "NMFNetClassifier", "parameters": {},
        "network": {"activation": "relu", "intercept": True, "output": "softmax", "label_smoothing": 0},
        "state": {
            "feature_names_in_": None, "history_": [], "multilabel": False,
            "classes_": {"dtype": "<U1", "values": [f"{i}" for i in range(2000)] + ["x" * 10**5]},
        },
    }  # fmt: skip
    save_file({"weight.1": torch.ones(2, 2001)}, tmp_path / "model", metadata={"nmfnet": json.dumps(header)})
    refused(tmp_path / "model", "labels are too long")


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "not a regular file")
    refused("/dev/zero", "not a regular file")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    refused(tmp_path / "circle", "not a readable nmfnet model")
    refused(tmp_path / ("x" * 300), "not a readable nmfnet model")
    refused("nul\0byte", "not a readable nmfnet model")
