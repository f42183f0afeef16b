"""Plots of a training, and its report: one HTML file that needs nothing else.  Needs matplotlib."""

from nmfnet.report.choices import choices
from nmfnet.report.curves import curves
from nmfnet.report.findings import findings
from nmfnet.report.page import RunReport, report_page

__all__ = ["RunReport", "choices", "curves", "findings", "report_page"]
