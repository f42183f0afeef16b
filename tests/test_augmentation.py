"""Images that are shifted, mirrored and partly hidden."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

import nmfnet
from nmfnet import Augmentation, Checkpoint, NMFNetClassifier
from nmfnet.data.augmentation import augmented, mirrored
from nmfnet.data.source import InMemory
from nmfnet.layers import Conv1d, Conv2d, MaxPool2d

IMAGES = torch.arange(200 * 2 * 5 * 6, dtype=torch.float64).reshape(200, -1)
SHAPE = (2, 5, 6)


def changed(seed=0, images=IMAGES, shape=SHAPE, **settings):
    found = Augmentation(**settings)(images, shape, torch.Generator().manual_seed(seed))
    return found.reshape(-1, *shape)


def test_half_of_the_images_are_mirrored():
    images, found = IMAGES.reshape(-1, *SHAPE), changed(flip=True)
    mirror = (found == images.flip(3)).flatten(1).all(1)
    assert 70 < int(mirror.sum()) < 130 and torch.equal(found[~mirror], images[~mirror])


def test_images_are_shifted_by_all_distances():
    """What is missing at the edge is mirrored, as torch.nn.functional.pad does."""
    images = IMAGES.reshape(-1, *SHAPE)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2), mode="reflect")
    found = changed(shift=2)
    seen = set()
    for image, wide in zip(found, padded, strict=True):
        places = [(i, j) for i in range(5) for j in range(5) if torch.equal(image, wide[:, i : i + 5, j : j + 6])]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) == 25
    assert mirrored(torch.arange(-2, 7), 5).tolist() == [2, 1, 0, 1, 2, 3, 4, 3, 2]


def test_a_square_becomes_the_mean_of_its_channel():
    images, found = IMAGES.reshape(-1, *SHAPE), changed(cutout=3)
    hidden = found != images
    assert torch.equal(hidden[:, 0], hidden[:, 1])
    means = images.mean((2, 3), keepdim=True).expand_as(images)
    torch.testing.assert_close(found[hidden], means[hidden])
    sizes = hidden[:, 0].sum((1, 2))
    assert int(sizes.max()) == 9 and int(sizes.min()) < 9
    rows, columns = hidden[:, 0].any(2).sum(1), hidden[:, 0].any(1).sum(1)
    assert torch.equal(rows * columns, sizes)


def test_sequences():
    X = torch.arange(40 * 8, dtype=torch.float32).reshape(40, 8)
    found = changed(images=X, shape=(1, 8), shift=3, flip=True, cutout=2)
    assert found.shape == (40, 1, 8) and not torch.equal(found[:, 0], X)


def test_changes_follow_from_the_seed_and_the_number_of_the_batch():
    source = augmented(InMemory(IMAGES, IMAGES[:, :1]), Augmentation(shift=1, flip=True), SHAPE)
    whole, rest, other = (
        [batch.X for batch in source.batches(50, torch.Generator().manual_seed(seed), start)]
        for seed, start in ((0, 0), (0, 2), (1, 0))
    )
    assert all(torch.equal(a, b) for a, b in zip(whole[2:], rest, strict=True))
    assert not torch.equal(whole[0], other[0])
    assert torch.equal(torch.cat([block.X for block in source.blocks()]), IMAGES)


def test_a_model_is_trained_on_changed_images_and_stored_with_them(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.random((60, 1, 6, 6), dtype=np.float32), np.arange(60) % 2
    settings = {"max_iter": 3, "random_state": 0, "batch_size": 20}
    model = NMFNetClassifier((Conv2d(4, 3), MaxPool2d(2)), augmentation=Augmentation(shift=1, flip=True), **settings)
    plain = clone(model).set_params(augmentation=None).fit(X, y)
    model.fit(X, y)
    assert not np.array_equal(plain.predict_proba(X), model.predict_proba(X))
    model.save(tmp_path / "model.safetensors")
    loaded = nmfnet.load(tmp_path / "model.safetensors")
    assert loaded.augmentation == Augmentation(shift=1, flip=True)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))

    class Stop(nmfnet.Callback):
        left = 5

        def on_batch_end(self, batch, n_batches):
            self.left -= 1
            if not self.left:
                raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        clone(model).set_params(callbacks=[Checkpoint(tmp_path, 1), Stop()]).fit(X, y)
    resumed = clone(model).set_params(callbacks=[Checkpoint(tmp_path, 1, resume=True)]).fit(X, y)
    np.testing.assert_array_equal(resumed.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Augmentation(shift=-1), "shift must be"),
        (lambda: Augmentation(flip=2), "flip must be"),
        (lambda: Augmentation(cutout=1.5), "cutout must be"),
        (lambda: fit((Conv2d(4, 3),), Augmentation(shift=6)), r"shift=6 is too much for images of \(1, 6, 7\)"),
        (lambda: fit((Conv2d(4, 3),), Augmentation(cutout=7)), r"cutout=7 is too much"),
        (lambda: fit((4,), Augmentation(flip=True)), "augmentation is for images and sequences"),
        (lambda: fit((Conv1d(4, 3),), "flips"), r"augmentation must be None or nmfnet.Augmentation"),
        (lambda: fit((Conv2d(4, 3),), Augmentation(flip=True), "partial_fit"), "partial_fit does not augment"),
    ],
)
def test_errors_name_what_to_change(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def fit(hidden, augmentation, method="fit"):
    X = np.random.default_rng(0).random((10, 1, 6, 7))
    X = X if isinstance(hidden[0], Conv2d) else X[:, :, 0] if isinstance(hidden[0], Conv1d) else X.reshape(10, -1)
    model = NMFNetClassifier(hidden, augmentation=augmentation, max_iter=1)
    getattr(model, method)(X, np.arange(10) % 2, **({"classes": [0, 1]} if method == "partial_fit" else {}))
