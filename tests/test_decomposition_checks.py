"""scikit-learn's own checks of the transformers."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from nmfnet import NMF, NMFAutoencoder, NMFPretraining, NonlinearSemiNMF, SemiNMF

KL = {"solver": "mu", "beta_loss": "kullback-leibler"}
MODELS = [
    NMF(),
    NMF(2),
    NMF(2, solver="mu"),
    NMF(2, batch_size=16, max_iter=30),
    NMF(3, init="random", alpha_W=0.01, l1_ratio=0.5),
    NMF(**KL),
    NMF(2, batch_size=16, max_iter=30, **KL),
    SemiNMF(),
    SemiNMF(2),
    SemiNMF(2, solver="mu"),
    SemiNMF(2, alpha_W=0.01, l1_ratio=0.5),
    NonlinearSemiNMF(),
    NonlinearSemiNMF(2),
    NonlinearSemiNMF(activation="leaky_relu"),
    NonlinearSemiNMF(activation="identity"),
    NMFAutoencoder(),
    NMFAutoencoder(2, pretrain=NMFPretraining(n_ae=3)),
]


@parametrize_with_checks(MODELS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
