"""The factorizations as scikit-learn's transformers."""

from nmfnet.transformers.autoencoder import NMFAutoencoder
from nmfnet.transformers.nmf import NMF
from nmfnet.transformers.semi_nmf import NonlinearSemiNMF, SemiNMF

__all__ = ["NMF", "NMFAutoencoder", "NonlinearSemiNMF", "SemiNMF"]
