"""The factorizations as scikit-learn's transformers."""

from nmfnet.decomposition.autoencoder import NMFAutoencoder
from nmfnet.decomposition.nmf import NMF
from nmfnet.decomposition.semi_nmf import NonlinearSemiNMF, SemiNMF

__all__ = ["NMF", "NMFAutoencoder", "NonlinearSemiNMF", "SemiNMF"]
