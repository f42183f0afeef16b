"""What the factorizations are good for: hidden entries predicted, and what an autoencoder keeps of an image.

    python benchmarks/factorization/quality.py --idle      all tables; each is stored as it ends
    python benchmarks/factorization/quality.py missing --rows N     a trial on a part, printed and not stored
    python benchmarks/factorization/report.py

A table is made again only if the code or its settings changed since, or with `--again`.
"""

import argparse
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from cases import add, stored, version
from sklearn.decomposition import NMF as TheirNMF
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from store import REPORTS

import nmfnet

PICTURES = REPORTS / "factorization"
ROWS = {"missing": 5000, "autoencoder": 10_000}  # images of the training set


def missing(rows):
    """Hide a fifth of the entries, and predict them."""
    rng = np.random.default_rng(0)
    planted = rng.random((1000, 10)) @ rng.random((10, 300))
    fashion = nmfnet.datasets.load("fashion-mnist").X_train[:rows].astype(float)
    table = []
    for name, X, rank, tol in (("planted, rank 10", planted, 10, 1e-7), ("Fashion-MNIST", fashion, 20, 1e-4)):
        hidden = rng.random(X.shape) < 0.2
        holes = np.where(hidden, np.nan, X)
        start = time.process_time()
        model = nmfnet.NMF(rank, tol=tol, max_iter=2000, random_state=0)
        ours = (model.inverse_transform(model.fit_transform(holes)) - X)[hidden]
        middle = time.process_time()
        filled = SimpleImputer(keep_empty_features=True).fit_transform(holes)
        theirs = TheirNMF(rank, init="nndsvda", random_state=0)
        rebuilt = (theirs.inverse_transform(theirs.fit_transform(filled)) - X)[hidden]
        end, size = time.process_time(), np.linalg.norm(X[hidden])
        row = [name, rank, *(float(np.linalg.norm(e) / size) for e in (ours, rebuilt, (filled - X)[hidden]))]
        table.append([*row, round(middle - start, 1), round(end - middle, 1)])
        print(table[-1], flush=True)
    return {
        "title": "Hidden entries",
        "note": f"A fifth of the entries hidden; relative error on them. Fashion-MNIST: {len(fashion)} images.",
        "columns": ["data", "rank", "NMF, masked", "mean imputation + scikit-learn's NMF", "mean imputation",
                    "nmfnet, processor s", "scikit-learn, processor s"],
        "rows": table,
    }  # fmt: skip


def autoencoder(rows):
    """Reconstruction of unseen MNIST digits from codes of equal size."""
    data = nmfnet.datasets.load("mnist")
    X, X_test = data.X_train[:rows], data.X_test
    size, table, components = 30, [], {}
    settings = {"pretrain": nmfnet.NMFPretraining(n_ae=10), "random_state": 0}
    encoders = {
        "PCA": PCA(size, random_state=0),
        "scikit-learn's NMF": TheirNMF(size, init="nndsvda", random_state=0),
        "NMF": nmfnet.NMF(size, random_state=0),
        "SemiNMF": nmfnet.SemiNMF(size, random_state=0),
        "NMFAutoencoder, 30, layer-wise": nmfnet.NMFAutoencoder(size, max_iter=0, **settings),
        "NMFAutoencoder, 200-30, layer-wise": nmfnet.NMFAutoencoder((200, size), max_iter=0, **settings),
        "NMFAutoencoder, 200-30, fine-tuned": nmfnet.NMFAutoencoder((200, size), max_iter=20, **settings),
    }
    for name, model in encoders.items():
        start = time.process_time()
        model.fit(X)
        seconds = time.process_time() - start
        rebuilt = [model.inverse_transform(model.transform(A)) for A in (X, X_test)]
        errors = [float(np.square(A - B).sum(1).mean()) for A, B in zip((X, X_test), rebuilt, strict=True)]
        table.append([name, *errors, round(seconds, 1)])
        components[name] = model.components_[:10]
        print(table[-1], flush=True)
    figure, axes = plt.subplots(len(components), 10, figsize=(8, 0.95 * len(components)))
    for row, (name, parts) in zip(axes, components.items(), strict=True):
        row[0].set_title(name, fontsize=7, loc="left")
        for axis, part in zip(row, parts, strict=True):
            limit = np.abs(part).max()
            axis.imshow(part.reshape(28, 28), cmap="RdGy", vmin=-limit, vmax=limit)
            axis.axis("off")
    figure.tight_layout(pad=0.3)
    figure.savefig(PICTURES / "components.png", dpi=110)
    return {
        "title": "Codes of thirty numbers on MNIST",
        "note": f"Squared error per image, {len(X)} training images, 10,000 test images, float32; "
        "ten rounds of pre-training a layer, twenty epochs of fine-tuning.",
        "columns": ["model", "training", "test", "processor s of the fit"],
        "rows": table,
        "picture": "components.png",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", default=["missing", "autoencoder"])
    parser.add_argument("--rows", type=int, help="only so many images: a trial, printed and not stored")
    parser.add_argument("--idle", action="store_true")
    parser.add_argument("--again", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for what in arguments.what:
        key = version(what, ROWS[what])
        if not (arguments.again or arguments.rows) and stored("quality", what, key, arguments.idle):
            print(what, "is stored")
            continue
        result = {"missing": missing, "autoencoder": autoencoder}[what](arguments.rows or ROWS[what])
        if not arguments.rows:
            add("quality", what, key, arguments.idle, 1, result)
