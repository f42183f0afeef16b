"""The relaxed sweep, ``solver="relaxed"``: small steps on weights and targets (docs/relaxed.md, relaxed-steps.md)."""
