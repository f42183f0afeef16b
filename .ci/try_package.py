"""Install each wheel and sdist of a folder in a clean environment, and use it there: python .ci/try_package.py dist."""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
USE = """
import importlib.metadata, json, pathlib, sys
import nmfnet
from sklearn.datasets import load_iris
assert pathlib.Path(nmfnet.__file__).is_relative_to(sys.prefix), nmfnet.__file__
assert importlib.metadata.version("nmfnet") == nmfnet.__version__
package = pathlib.Path(nmfnet.__file__).parent
assert (package / "py.typed").exists() and list((package / "storage" / "schemas").glob("*.json"))
X, y = load_iris(return_X_y=True)
model = nmfnet.NMFNetClassifier((20,), max_iter=5, random_state=0).fit(X, y)
model.save("iris.safetensors")
assert nmfnet.load("iris.safetensors").score(X, y) == model.score(X, y) > 0.8
assert nmfnet.NMF(2, random_state=0).fit_transform(X).shape == (150, 2)
"""


def run(*command: str, folder: str) -> None:
    """Run a command, whose failure is that of this script."""
    subprocess.run(command, check=True, cwd=folder)


def main(dist: Path) -> None:
    """Try all that is there: a wheel and an sdist."""
    found = [*dist.glob("*.whl"), *dist.glob("*.tar.gz")]
    if len(found) != 2:
        sys.exit(f"{dist} must hold a wheel and an sdist; it holds {[path.name for path in found]}")
    for path in found:
        with tempfile.TemporaryDirectory() as folder:
            venv.create(Path(folder) / "env", with_pip=True)
            python = str(Path(folder) / "env" / "bin" / "python")
            constraints = ["--quiet", "--disable-pip-version-check", "--constraint", str(ROOT / "constraints.txt")]
            run(
                python, "-m", "pip", "install", *constraints, f"nmfnet[cli] @ {path.resolve().as_uri()}", folder=folder
            )
            run(python, "-c", USE, folder=folder)
            run(str(Path(folder) / "env" / "bin" / "nmfnet"), "train", "digits", "--epochs", "1", folder=folder)
        print(f"{path.name}: installed, imported, trained and loaded", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
