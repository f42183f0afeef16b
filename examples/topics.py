"""
Topics of text
==============

The documents are the docstrings of NumPy, SciPy and scikit-learn, about two thousand of them.  :class:`nmfnet.NMF`
with the Kullback–Leibler divergence finds topics in their word counts, which stay sparse all the way.
"""

import importlib
import inspect
import re

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

from nmfnet import NMF

MODULES = (
    "numpy numpy.linalg numpy.random numpy.fft scipy.linalg scipy.optimize scipy.signal scipy.stats scipy.sparse",
    "scipy.special scipy.spatial scipy.interpolate scipy.ndimage scipy.cluster.hierarchy scipy.integrate",
    "sklearn.cluster sklearn.linear_model sklearn.ensemble sklearn.metrics sklearn.preprocessing",
    "sklearn.decomposition sklearn.manifold",
)
MODULES = [name for line in MODULES for name in line.split()]


def documents():
    """Docstrings of what the modules offer, each once."""
    found = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for each in getattr(module, "__all__", None) or [key for key in vars(module) if not key.startswith("_")]:
            thing = getattr(module, each)
            text = inspect.getdoc(thing) if callable(thing) else None
            if text and len(text) > 400:
                found.setdefault(text, name)
    return list(found), list(found.values())


texts, homes = documents()
of_docstrings = (
    "array like parameters returns return optional default examples see notes ndarray float int bool true false none "
    "scipy numpy np import shape given data input output values value used use using function method example dtype "
    "axis print plt set new object instance user guide references added version also"
)
counter = CountVectorizer(
    preprocessor=lambda text: re.sub(r"[^a-z ]+", " ", text.lower()),
    token_pattern="[a-z]{4,}",
    stop_words=sorted(ENGLISH_STOP_WORDS | set(of_docstrings.split())),
    max_df=0.25,
    min_df=8,
)
X = counter.fit_transform(texts).astype(float)
words = counter.get_feature_names_out()
print(
    f"{X.shape[0]} docstrings, {X.shape[1]} words, {100 * X.nnz / np.prod(X.shape):.1f} % of the counts are not zero"
)

# %%

model = NMF(12, solver="mu", beta_loss="kullback-leibler", max_iter=200, tol=1e-3, random_state=0)
Z = model.fit_transform(X)
figure, axes = plt.subplots(3, 4, figsize=(10, 6.6), layout="constrained")
for axis, topic in zip(axes.flat, model.components_, strict=True):
    best = np.argsort(-topic)[:8][::-1]
    axis.barh(range(8), topic[best] / topic.max(), color="#0072B2")
    axis.set_yticks(range(8), words[best], fontsize=8)
    axis.set_xticks([])
    axis.spines[:].set_visible(False)
plt.show()

# %%
# Which module speaks of which topic.  The topics were found without the names of the modules.

shares = Z * model.components_.sum(axis=1)
shares /= shares.sum(axis=1, keepdims=True)
names = sorted(set(homes), key=MODULES.index)
table = np.stack([shares[[home == name for home in homes]].mean(axis=0) for name in names])
order = np.argsort(table.argmax(axis=0), kind="stable")
figure, axis = plt.subplots(figsize=(8, 6), layout="constrained")
axis.imshow(table[:, order], cmap="Blues", aspect="auto")
axis.set_yticks(range(len(names)), names, fontsize=9)
axis.set_xticks(
    range(12), [", ".join(words[np.argsort(-model.components_[j])[:2]]) for j in order], rotation=45, ha="right"
)
plt.show()
