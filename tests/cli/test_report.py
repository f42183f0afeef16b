"""`nmfnet train` writes a report, and `nmfnet report` one of several runs."""

import pytest

pytestmark = pytest.mark.figures


def test_a_training_leaves_a_report(run, folder, iris):
    first = run("train", iris, "--target", "species", "--epochs", 2, "--hidden", 5, "--out", "first")
    assert first.status == 0 and "report.html" in first.out
    page = (folder / "first" / "report.html").read_text(encoding="utf-8")
    assert "Which classes are confused" in page and "Chosen automatically" in page and "processors" in page
    run("train", iris, "--target", "species", "--epochs", 3, "--hidden", 5, "--out", "second", "--test", 0.2)
    assert run("report", "first", "second", "--out", "both.html").out == "both.html: 2 runs\n"
    both = (folder / "both.html").read_text(encoding="utf-8")
    assert "<h1>2 runs</h1>" in both and both.count("<th>test</th>") == both.count("<th>--test</th>") == 1


def test_runs_of_earlier_versions_and_other_folders(run, folder, iris):
    run("train", iris, "--target", "species", "--epochs", 1, "--hidden", 5, "--out", "old")
    (folder / "old" / "report.json").unlink()
    assert run("report", "old").status == 0 and (folder / "report.html").exists()
    assert "is not the folder of a run: it has no settings.json" in run("report", folder / "nothing").failed()


def test_a_report_that_cannot_be_written_is_a_warning(run, folder, iris):
    (folder / "out").mkdir()
    (folder / "out" / "settings.json").write_text("{}")
    (folder / "out" / "report.html").mkdir()
    result = run("train", iris, "--target", "species", "--epochs", 1, "--hidden", 5, "--out", "out")
    assert result.status == 0 and "report.html could not be written" in result.err
    assert (folder / "out" / "model.safetensors").exists()
