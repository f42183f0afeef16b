"""scikit-learn's own checks of estimators."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from nmfnet import NMFNetClassifier, NMFNetRegressor, Relaxed

# Every failure that is expected, and why; docs/estimators.md has the same list.  A weight of 0 is the row left out
# with dropout, too (test_sample_weight.py); what fails is the other half: that rows of weight 2 are rows twice.
RANDOM_MASKS = "dropout masks each row by itself, a row of weight 2 once and a repeated one twice"
COUNTED = "the temperature of predict_proba is measured on halves of the rows; the weights of the network are the same"
TRUNCATED = "samples of 1e-7 of the others' weight lie below the thresholds of the pseudo-inverses and are not fitted"


def expected_failures(estimator):
    """Weights are those of repeated rows wherever nothing random is drawn for a row."""
    equivalence = [f"check_sample_weight_equivalence_on_{kind}_data" for kind in ("dense", "sparse")]
    if estimator.solver == "relaxed":
        return dict.fromkeys(equivalence, RANDOM_MASKS)
    if not isinstance(estimator, NMFNetClassifier):
        return {}
    if estimator.solver == "pinv":
        return {"check_class_weight_classifiers": TRUNCATED}
    return dict.fromkeys(equivalence, COUNTED)


@parametrize_with_checks(
    [
        Estimator(**parameters)
        for Estimator in (NMFNetClassifier, NMFNetRegressor)
        for parameters in (
            {"solver": "relaxed"},
            # The automatic penalty counts samples, not weights, whose scale is arbitrary; training amplifies rounding.
            {"solver": Relaxed(dropout=0.0), "alpha": 0.0, "max_iter": 5},
            {"solver": "pinv"},
        )
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
