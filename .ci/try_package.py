"""Install the wheel and then the sdist of a folder in a clean environment, and use each: .ci/try_package.py dist."""

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
    """Try the wheel with all that it needs, and then the sdist in its place."""
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as folder:
        venv.create(Path(folder) / "env", with_pip=True)
        bin_ = Path(folder) / "env" / "bin"
        for path, options in ((wheel, []), (sdist, ["--no-deps", "--force-reinstall"])):
            quiet = ["--quiet", "--disable-pip-version-check", "--constraint", str(ROOT / "constraints.txt")]
            what = f"nmfnet[cli] @ {path.resolve().as_uri()}"
            run(str(bin_ / "python"), "-m", "pip", "install", *quiet, *options, what, folder=folder)
            run(str(bin_ / "python"), "-c", USE, folder=folder)
            run(str(bin_ / "nmfnet"), "train", "digits", "--epochs", "1", "--out", path.name, folder=folder)
            print(f"{path.name}: installed, imported, trained and loaded", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
