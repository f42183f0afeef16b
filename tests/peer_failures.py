"""The tests of scikit-learn 1.9 that fail with our classes, by the reason why; peer_checks.py runs them.

A name without brackets stands for the test with all its parameters.
"""

VERSION = "1.9"

RIGHT: dict[str, list[str]] = {
    "sets or reads private attributes, or weights before a fit": [
        "test_mlp.py::test_fit",
        "test_mlp.py::test_gradient",
        "test_mlp.py::test_learning_rate_warmstart",
        "test_mlp.py::test_adaptive_learning_rate",
        "test_mlp.py::test_n_iter_no_change",
        "test_mlp.py::test_n_iter_no_change_inf",
        "test_nmf.py::test_nmf_n_components_auto",
    ],
    "is about a parameter that ours lack on purpose: solver='lbfgs' and max_fun, shuffle, loss='poisson'": [
        "test_mlp.py::test_lbfgs_classification_maxfun",
        "test_mlp.py::test_lbfgs_regression_maxfun",
        "test_mlp.py::test_partial_fit_errors",
        "test_mlp.py::test_shuffle",
        "test_mlp.py::test_mlp_vs_poisson_glm_equivalent",
    ],
    "is about beta_loss other than 'frobenius' and 'kullback-leibler', which ours refuse": [
        "test_nmf.py::test_minibatch_nmf_negative_beta_loss",
        "test_nmf.py::test_nmf_minibatchnmf_equivalence[-0.5]",
        "test_nmf.py::test_nmf_minibatchnmf_equivalence[0]",
        "test_nmf.py::test_nmf_minibatchnmf_equivalence[0.5]",
        "test_nmf.py::test_nmf_minibatchnmf_equivalence[1.5]",
        "test_nmf.py::test_nmf_minibatchnmf_equivalence[2.5]",
    ],
    "compares the iterates of two algorithms that are one in scikit-learn and two here, by digits": [
        "test_nmf.py::test_nmf_minibatchnmf_equivalence[1]",
        "test_nmf.py::test_nmf_minibatchnmf_equivalence[2]",
        "test_nmf.py::test_minibatch_nmf_partial_fit",
    ],
    "compares ours with scikit-learn's own function by digits; another algorithm ends at another minimum": [
        "test_nmf.py::test_non_negative_factorization_consistency",
    ],
    "compares 100 steps on dense with those on sparse data to 1e-7 of each entry; sums are rounded in another order": [
        "test_nmf.py::test_nmf_sparse_input[0.0-0.0-csc_matrix-NMF-solver0]",
        "test_nmf.py::test_nmf_sparse_input[0.0-0.0-csc_array-NMF-solver0]",
        "test_nmf.py::test_nmf_sparse_input[0.0-0.0-csr_matrix-NMF-solver0]",
        "test_nmf.py::test_nmf_sparse_input[0.0-0.0-csr_array-NMF-solver0]",
        "test_nmf.py::test_nmf_sparse_input[same-0.0-csc_matrix-NMF-solver0]",
        "test_nmf.py::test_nmf_sparse_input[same-0.0-csc_array-NMF-solver0]",
        "test_nmf.py::test_nmf_sparse_input[same-0.0-csr_matrix-NMF-solver0]",
        "test_nmf.py::test_nmf_sparse_input[same-0.0-csr_array-NMF-solver0]",
    ],
    "wants fit to be as many partial_fit: a fit's steps are planned for max_iter epochs, partial_fit has no end": [
        "test_mlp.py::test_partial_fit_regression",
    ],
    "wants the training set to be interpolated, noise included: the automatic penalty prevents it": [
        "test_mlp.py::test_lbfgs_regression",
    ],
    "wants the penalty to shrink each layer: what is penalized is all of them, and the first has shrunk to a third": [
        "test_mlp.py::test_alpha",
    ],
    "wants a ConvergenceWarning at max_iter, which is a plan here and not a limit (docs/estimators.md)": [
        "test_mlp.py::test_mlp_warm_start_no_convergence",
    ],
    "wants n_iter_ to be of the last fit: here it counts all epochs over warm starts, as the docstring says": [
        "test_mlp.py::test_warm_start_full_iteration",
    ],
    "wants an error or NaN where the training diverges: ours scales the inputs, and does not": [
        "test_mlp.py::test_nonfinite_params",
        "test_mlp.py::test_mlp_diverging_loss",
    ],
    "wants an error for a validation set of one sample: ours stops by its error, which one sample has": [
        "test_mlp.py::test_minimum_input_sample_size",
    ],
    "wants the class of an early stopping's message as 'True', of the indicators: ours names the class": [
        "test_mlp.py::test_early_stopping_stratified",
    ],
    "wants an error where starting factors have another dtype than X: ours converts them": [
        "test_nmf.py::test_nmf_custom_init_dtype_error",
    ],
    "wants the words of scikit-learn's messages: there is the same error, or line of a log, in other words": [
        "test_mlp.py::test_warm_start",
        "test_mlp.py::test_verbose_sgd",
        "test_nmf.py::test_parameter_checking",
        "test_nmf.py::test_nmf_custom_init_shape_error",
    ],
    "wants fit_transform and transform to agree to 1e-7 of each entry: both are solved to 1e-6": [
        "test_nmf.py::test_minibatch_nmf_transform",
    ],
    "compares float32 with float64 after 200 epochs: the start is the same, and rounding grows with each update": [
        "test_mlp.py::test_mlp_classifier_dtypes_casting",
        "test_mlp.py::test_mlp_regressor_dtypes_casting",
    ],
    "wants more than chance after a step on three rows and one on the fourth; 200 more, and all four are right": [
        "test_mlp.py::test_partial_fit_unseen_classes",
    ],
}

WRONG: dict[str, list[str]] = {}  # to be mended
