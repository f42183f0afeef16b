"""scikit-learn's own checks of the transformers."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from nmfnet import NMF, NMFAutoencoder, NMFPretraining, NonlinearSemiNMF, SemiNMF

MODELS = [
    NMF(2),
    NMF(2, solver="mu"),
    NMF(2, batch_size=16),
    SemiNMF(2),
    NonlinearSemiNMF(2),
    NMFAutoencoder(2, pretrain=NMFPretraining(n_ae=3)),
]


@parametrize_with_checks(MODELS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
