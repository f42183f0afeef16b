"""Mixed signs: semi-NMF as a soft clustering of data that NMF cannot take.

python examples/mixed_signs.py
"""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_wine
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

from nmfnet import SemiNMF

wine = load_wine()
X = StandardScaler().fit_transform(wine.data)  # negative as often as positive
model = SemiNMF(3, alpha_W=1e-2, random_state=0, max_iter=1000)
Z = model.fit_transform(X)
strength = Z * np.linalg.norm(model.components_, axis=1)

print("Agreement with the three cultivars (adjusted Rand index; 1 is perfect):")
print(f"  strongest component  {adjusted_rand_score(wine.target, strength.argmax(1)):.2f}")
clusters = KMeans(3, n_init=10, random_state=0).fit_predict(X)
print(f"  k-means              {adjusted_rand_score(wine.target, clusters):.2f}")
for j, component in enumerate(model.components_):
    most = np.argsort(-np.abs(component))[:3]
    print(f"Component {j}: " + ", ".join(f"{wine.feature_names[i]} {component[i]:+.1f}" for i in most))
