"""Train here, fine-tune there: a network trained without backpropagation goes on in PyTorch, and comes back.

python examples/finetune.py
"""

import torch
from torch import nn

from nmfnet import NMFNetClassifier, datasets


def main() -> None:
    digits = datasets.load("digits")
    model = NMFNetClassifier((100, 50), max_iter=5, random_state=0).fit(digits.X_train, digits.y_train)
    print(f"trained here: {model.score(digits.X_test, digits.y_test):.4f} of the test digits")

    # All but the last module, which makes probabilities, give the logits.
    module = model.to_torch()
    logits = module[:-1].train()
    X, y = torch.tensor(digits.X_train), torch.tensor(digits.y_train)
    optimizer = torch.optim.SGD(logits.parameters(), lr=0.01, momentum=0.9)
    batches = torch.Generator().manual_seed(0)
    for _ in range(10):
        for rows in torch.randperm(len(X), generator=batches).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits(X[rows]), y[rows], label_smoothing=0.2).backward()
            optimizer.step()

    # The module's weights are copied: an estimator again, to predict, save or train on.
    back = NMFNetClassifier.from_torch(module, classes=model.classes_)
    print(f"fine-tuned there: {back.score(digits.X_test, digits.y_test):.4f}")


if __name__ == "__main__":
    main()
