"""Plots of a training, and its report: one HTML file that needs nothing else.  Needs matplotlib."""

from importlib.util import find_spec

if find_spec("matplotlib") is None:
    raise ImportError("reports need matplotlib: pip install 'nmfnet[cli]'")

from nmfnet.report.choices import choices
from nmfnet.report.curves import curves
from nmfnet.report.findings import findings
from nmfnet.report.page import RunReport, report_page

__all__ = ["RunReport", "choices", "curves", "findings", "report_page"]
