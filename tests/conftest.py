import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

torch.set_num_threads(1)  # the tests run in several processes at once
settings.register_profile("nmfnet", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nmfnet")


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """Fail on any fetch a test did not stage, and keep this user's own folders out."""

    def refuse(*args, **kwargs):
        raise AssertionError("unexpected fetch")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", refuse)
    monkeypatch.setenv("NMFNET_DATA", str(tmp_path / "unused"))


@pytest.fixture(scope="session")
def digits():
    """Training and test part: X, X_test, y, y_test."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, random_state=0, stratify=y)


@pytest.fixture
def small():
    """Forty samples of three classes that mean nothing."""
    rng = np.random.default_rng(0)
    return rng.random((40, 5)), np.arange(40) % 3


@pytest.fixture
def bounded(monkeypatch):
    """Fail where a factorization is tried for ever."""
    calls, cholesky = [], torch.linalg.cholesky_ex

    def counted(*args, **kwargs):
        calls.append(1)
        assert len(calls) < 1000, "factorized for ever"
        return cholesky(*args, **kwargs)

    monkeypatch.setattr(torch.linalg, "cholesky_ex", counted)
