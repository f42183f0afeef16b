"""
The notes of a melody
=====================

The spectrogram of a recording is nonnegative, and sounds add up.  :class:`nmfnet.NMF` takes it apart into the
spectra of notes and the times at which each is played, without knowing what a note is.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import ShortTimeFFT

from nmfnet import NMF

RATE = 8000
NOTES = {"C4": 261.6, "D4": 293.7, "E4": 329.6, "G4": 392.0, "A4": 440.0}
SCORE = ["C4", "D4", "E4", "G4", "E4 G4", "A4", "C4 E4 G4", "D4", "A4 D4", "C4"]


def sound(chord, seconds=0.5):
    """Notes with overtones, that fade away."""
    t = np.arange(int(RATE * seconds)) / RATE
    tones = [np.sin(2 * np.pi * k * NOTES[note] * t) / k**1.3 for note in chord.split() for k in range(1, 8)]
    return np.sum(tones, axis=0) * np.exp(-3 * t) * np.minimum(1, t / 0.01)


rng = np.random.default_rng(0)
recording = np.concatenate([sound(chord) for chord in SCORE])
recording += 0.02 * rng.standard_normal(len(recording))
window = ShortTimeFFT(np.hanning(1024), hop=128, fs=RATE)
X = np.abs(window.stft(recording))[:260].T  # (times, frequencies), up to 2 kHz

model = NMF(5, solver="mu", beta_loss="kullback-leibler", alpha_W=1e-4, l1_ratio=1.0, max_iter=500, random_state=0)
Z = model.fit_transform(X)

# %%
# Each component is named by the note whose frequency is its strongest.  Below: what was played, and what was found.

peaks = window.f[model.components_.argmax(axis=1)]
nearest = {note: int(np.argmin(np.abs(peaks - pitch))) for note, pitch in NOTES.items()}
for note, j in nearest.items():
    print(f"{note}: {NOTES[note]:.1f} Hz; component {j} has its peak at {peaks[j]:.1f} Hz")
seconds = len(recording) / RATE
figure, axes = plt.subplots(3, 1, figsize=(9, 7), layout="constrained", sharex=True, height_ratios=(2, 1, 1))
axes[0].imshow(
    np.log10(X.T + 1e-2), origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, window.f[260])
)
axes[0].set(title="The recording", ylabel="frequency (Hz)")
played = np.array([[note in chord.split() for chord in SCORE] for note in NOTES], float)
axes[1].imshow(played, origin="lower", aspect="auto", cmap="Greys", extent=(0, seconds, -0.5, 4.5))
axes[1].set(title="What was played", yticks=range(5), yticklabels=NOTES)
found = Z[:, list(nearest.values())] * model.components_.sum(axis=1)[list(nearest.values())]
axes[2].imshow(found.T, origin="lower", aspect="auto", cmap="Greys", extent=(0, seconds, -0.5, 4.5))
axes[2].set(title="What the factorization found", yticks=range(5), yticklabels=NOTES, xlabel="seconds")
plt.show()
