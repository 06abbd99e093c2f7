"""Load the handwritten digits that come with scikit-learn, split for training and testing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

#: Pixels are 0 to 16; the model wants 0 to 1.
PIXEL_MAX = 16.0


class Digits(NamedTuple):
    """Images as rows of 64 pixels, with the digit each one shows."""

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load_split(seed: int) -> Digits:
    """Three quarters of the digits to train on, the rest to test with; the same for one seed."""
    images, labels = load_digits(return_X_y=True)
    images, test_images, labels, test_labels = train_test_split(
        images / PIXEL_MAX, labels, test_size=0.25, random_state=seed, stratify=labels
    )
    return Digits(images, labels, test_images, test_labels)
