"""scikit-learn's own checks of estimators."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from nmfnet import NMFNetClassifier, NMFNetRegressor


@parametrize_with_checks([NMFNetClassifier(), NMFNetRegressor()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)
