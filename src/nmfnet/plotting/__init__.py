"""Plots of a fitted estimator as display objects in scikit-learn's style; needs matplotlib."""

from nmfnet.plotting.codes import LayerCodesDisplay
from nmfnet.plotting.history import HistoryDisplay
from nmfnet.plotting.weights import WeightsDisplay

__all__ = ["HistoryDisplay", "LayerCodesDisplay", "WeightsDisplay", "plot_history", "plot_layer_codes", "plot_weights"]

plot_history = HistoryDisplay.from_estimator
plot_weights = WeightsDisplay.from_estimator
plot_layer_codes = LayerCodesDisplay.from_estimator
