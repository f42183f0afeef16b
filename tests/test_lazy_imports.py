"""`import nmfnet` loads neither PyTorch nor scikit-learn; what is used is there, under its old names, too."""

import subprocess
import sys
from importlib import import_module

import pytest

import nmfnet
from nmfnet._moved import MOVED
from tests_environment import with_source

HEAVY = "torch", "sklearn", "scipy", "numpy", "pandas", "matplotlib"


def loaded_by(code):
    """Names of the large packages that a program has loaded at its end."""
    program = f"import sys\n{code}\nprint(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], env=with_source(), capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1].split()


def test_the_import_loads_nothing_large():
    assert loaded_by("import nmfnet; nmfnet.__version__, dir(nmfnet), nmfnet.DataError") == []
    assert "torch" in loaded_by("import nmfnet; nmfnet.NMF")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"]])
def test_help_and_version_load_nothing_large(arguments):
    assert (
        loaded_by(f"import nmfnet.cli\ntry:\n    nmfnet.cli.main({arguments!r})\nexcept SystemExit:\n    pass") == []
    )


def test_every_name_is_there():
    for name in nmfnet.__all__:
        assert getattr(nmfnet, name) is not None and name in dir(nmfnet)
    assert set(nmfnet.__all__) == {*nmfnet._HOMES, "callbacks", "datasets", "plotting", "__version__"}
    for name in nmfnet._SUBMODULES:
        assert getattr(nmfnet, name) is sys.modules[f"nmfnet.{name}"]
    with pytest.raises(AttributeError, match="no attribute 'nmff'"):
        _ = nmfnet.nmff


@pytest.mark.parametrize("old", MOVED)
def test_old_names_are_the_same_modules(old):
    assert import_module(old) is import_module(MOVED[old])


def test_names_in_the_help_are_those_of_the_package():
    from nmfnet.cli import options
    from nmfnet.layers.activations import ACTIVATIONS
    from nmfnet.solvers import SOLVERS

    assert options.NAMES == nmfnet.datasets.NAMES
    assert tuple(SOLVERS) == options.SOLVERS and tuple(ACTIVATIONS) == options.ACTIVATIONS
