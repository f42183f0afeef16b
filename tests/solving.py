"""Whole steps of DampedInverse, which hands them out part by part."""

import torch


def solved(inverse, Z, E, update, pull=None, stiffness=0.0, sample_weight=None, spare=False):
    """Step (n + intercept, k) and the length of what it moves; `pull` (n or more, k) as a tensor."""
    n = Z.shape[1]
    pulled = None if pull is None else lambda part: pull[:n, part]
    parts = inverse.steps(Z, E, update, pulled, stiffness, sample_weight, spare)
    steps, lengths = zip(*((D.clone(), moved) for _, D, moved in parts), strict=True)
    return torch.cat(steps, 1), torch.linalg.vector_norm(torch.stack(lengths))
