"""The paper's sweep, ``solver="pinv"``, and its pre-training; docs/method.md describes them."""
