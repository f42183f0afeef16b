"""A data frame of all kinds of columns, and models of it."""

import numpy as np
import pytest

from nmfnet import NMFNetClassifier

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

N = 400
RNG = np.random.default_rng(0)
CITIES = np.array(["Rome", "Paris", "Oslo", None], dtype=object)
SIZE = np.where(np.arange(N) % 7 == 0, np.nan, RNG.normal(size=N))
FRAME = pd.DataFrame(
    {
        "size": SIZE,
        "city": CITIES[RNG.integers(0, 4, N)],
        "ok": RNG.random(N) < 0.5,
        "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 900, N), unit="D"),
        "grade": pd.Categorical.from_codes(RNG.integers(0, 3, N), ["low", "mid", "high"]),
    }
)
Y = np.where((FRAME.city == "Rome") ^ FRAME.ok ^ FRAME["size"].isna(), "yes", "no")
LIBRARIES = {"pandas": lambda f: f, "polars": pl.from_pandas, "Arrow": lambda f: pl.from_pandas(f).to_arrow()}


def fitted(frame=FRAME, y=Y, **parameters):
    return NMFNetClassifier((20,), random_state=0, max_iter=10, **parameters).fit(frame, y)
