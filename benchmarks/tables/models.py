"""Models at their defaults: predictions for the test rows of a split."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .sources import Array, Split

HIDDEN = (256, 256)


def nmfnet(part: Split, classification: bool, seed: int, **parameters: Any) -> Array:
    """Ours; nothing is set but the widths, and what `parameters` say."""
    import torch

    from nmfnet import NMFNetClassifier, NMFNetRegressor

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    estimator = NMFNetClassifier if classification else NMFNetRegressor
    return fitted(estimator(HIDDEN, random_state=seed, **parameters), part, classification)


def mlp(part: Split, classification: bool, seed: int) -> Array:
    """scikit-learn's network of standardized columns."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    estimator = MLPClassifier if classification else MLPRegressor
    return fitted(
        make_pipeline(StandardScaler(), estimator(hidden_layer_sizes=HIDDEN, random_state=seed)), part, classification
    )


def linear(part: Split, classification: bool, seed: int) -> Array:
    """Logistic regression, or ridge regression with its strength chosen by leave-one-out."""
    from sklearn.linear_model import LogisticRegression, RidgeCV

    model = LogisticRegression(max_iter=1000) if classification else RidgeCV([10.0**k for k in range(-3, 4)])
    return fitted(make_pipeline(StandardScaler(), model), part, classification)


def histogram(part: Split, classification: bool, seed: int) -> Array:
    """scikit-learn's boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    estimator = HistGradientBoostingClassifier if classification else HistGradientBoostingRegressor
    return fitted(estimator(random_state=seed), part, classification)


def lightgbm(part: Split, classification: bool, seed: int) -> Array:
    """LightGBM."""
    import lightgbm

    estimator = lightgbm.LGBMClassifier if classification else lightgbm.LGBMRegressor
    return fitted(estimator(random_state=seed, n_jobs=1, verbose=-1), part, classification)


def catboost(part: Split, classification: bool, seed: int) -> Array:
    """CatBoost."""
    import catboost

    estimator = catboost.CatBoostClassifier if classification else catboost.CatBoostRegressor
    settings = {"random_seed": seed, "thread_count": 1, "verbose": 0, "allow_writing_files": False}
    return fitted(estimator(**settings), part, classification)


def xgboost(part: Split, classification: bool, seed: int) -> Array:
    """XGBoost."""
    import xgboost

    estimator = xgboost.XGBClassifier if classification else xgboost.XGBRegressor
    return fitted(estimator(random_state=seed, n_jobs=1), part, classification)


def pytabkit(name: str, part: Split, classification: bool, seed: int) -> Array:
    """A network of pytabkit with its tuned defaults."""
    import pytabkit

    estimator = getattr(pytabkit, f"{name}_{'Classifier' if classification else 'Regressor'}")
    return fitted(estimator(random_state=seed, device="cpu", n_threads=1), part, classification)


def fitted(model: Any, part: Split, classification: bool) -> Array:
    """Probabilities, or targets."""
    model.fit(part.X, part.y)
    predicted: Array = model.predict_proba(part.X_test) if classification else model.predict(part.X_test)
    return predicted


MODELS: dict[str, Callable[[Split, bool, int], Array]] = {
    "nmfnet": nmfnet,
    "nmfnet-one": partial(nmfnet, n_members=1, numeric_encoding="standard"),
    "nmfnet-auto": partial(nmfnet, n_members=1, numeric_encoding="auto"),
    "mlp": mlp,
    "linear": linear,
    "histogram-trees": histogram,
    "lightgbm": lightgbm,
    "catboost": catboost,
    "xgboost": xgboost,
    "realmlp": partial(pytabkit, "RealMLP_TD"),
    "tabm": partial(pytabkit, "TabM_D"),
}
