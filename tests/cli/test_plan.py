"""`nmfnet plan`."""

import pytest


def test_a_plan(run, iris):
    out = run("plan", iris, "--target", "species", "--hidden", "20-10", "--ranks", 2, "--epochs", 3).out
    assert "4-20-10-3" in out and "135, in" in out  # 15 of 150 rows are held out
    for part in ("Forward", "Residuals", "Right-hand sides", "Gram matrices", "Cholesky factors", "Messages"):
        assert part in out
    for ranks in (1, 2, 64, 128):
        assert f"\n {ranks} " in out.replace("    ", " ").replace("   ", " ").replace("  ", " ")
    assert "256" not in out.split("by ranks")[1]  # there are no more rows


def test_regression(run, diabetes):
    assert "10-20-1" in run("plan", diabetes, "--target", "target", "--hidden", "20", "--validation", 0).out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ranks", "200"], "--ranks 200: there are 135 training rows"),
        (["--hidden", "conv3-5"], "input_shape"),
        (["--batch-size", "0"], "--batch-size must be a number of rows, or auto"),
    ],
)
def test_unfit_options_are_named(run, iris, options, message):
    assert message in run("plan", iris, "--target", "species", *options).failed()
