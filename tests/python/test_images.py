"""Warped images: where each pixel comes from, against a loop; mistakes."""

import re

import numpy as np
import pytest
from snnfp import data
from snnfp.data.images import _BLOCK, _warp


def by_hand(image, back, moved):
    """One pixel of the copy at a time."""
    rows, columns = image.shape
    centre = (np.array(image.shape) - 1) / 2
    out = np.zeros(image.shape)
    for i in range(rows):
        for j in range(columns):
            y, x = back @ (np.array([i, j]) - centre - moved) + centre
            for r in (int(np.floor(y)), int(np.floor(y)) + 1):
                for c in (int(np.floor(x)), int(np.floor(x)) + 1):
                    if 0 <= r < rows and 0 <= c < columns:
                        out[i, j] += image[r, c] * (1 - abs(y - r)) * (1 - abs(x - c))
    return out


def test_bilinear_by_hand():
    rng = np.random.default_rng(0)
    images = rng.random((6, 5, 8))
    back = np.eye(2) + 0.4 * rng.standard_normal((6, 2, 2))
    moved = rng.uniform(-2, 2, (6, 2))
    expected = [by_hand(*one) for one in zip(images, back, moved)]
    np.testing.assert_allclose(_warp(images, back, moved), expected, atol=1e-12)


def test_whole_pixels_and_quarter_turns():
    image = np.random.default_rng(0).random((1, 7, 7))
    still, turn = np.eye(2)[None], np.array([[[0.0, 1.0], [-1.0, 0.0]]])
    assert np.array_equal(_warp(image, still, np.zeros((1, 2))), image)
    down = _warp(image, still, np.array([[2.0, -1.0]]))[0]
    assert np.array_equal(down[2:, :-1], image[0, :-2, 1:]) and not down[:2].any()
    np.testing.assert_allclose(_warp(image, turn, np.zeros((1, 2)))[0], np.rot90(image[0]))


def bar():
    """A bar of 3 x 15 pixels in the middle."""
    image = np.zeros((1, 31, 31))
    image[0, 14:17, 8:23] = 1.0
    return image


def moments(images):
    """Centre, direction of the long axis in degrees and both lengths of each image."""
    y, x = np.mgrid[: images.shape[1], : images.shape[2]]
    out = []
    for image in images:
        w = image / image.sum()
        cy, cx = (w * y).sum(), (w * x).sum()
        c = np.array(
            [
                [(w * (a - ca) * (b - cb)).sum() for b, cb in ((y, cy), (x, cx))]
                for a, ca in ((y, cy), (x, cx))
            ]
        )
        values, vectors = np.linalg.eigh(c)
        angle = np.rad2deg(np.arctan2(vectors[0, 1], vectors[1, 1]))
        out.append((cy, cx, (angle + 90) % 180 - 90, np.sqrt(values[1])))
    return np.array(out).T


def test_what_is_drawn():
    """Each amount by itself, up to it and about evenly."""
    many = np.repeat(bar(), 300, axis=0)
    length = moments(bar())[3, 0]
    cy, cx, angle, _ = moments(data.warp_images(many, 0, rotation=20.0))
    assert (
        np.abs(np.stack([cy, cx]) - 15).max() < 0.1
        and -20 < angle.min() < -19 < 19 < angle.max() < 20
    )
    assert abs(np.mean(np.abs(angle)) - 10) < 1
    _, _, _, long = moments(data.warp_images(many, 1, scale=0.2))
    assert 0.79 < long.min() / length < 0.83 and 1.17 < long.max() / length < 1.21
    cy, cx, _, _ = moments(data.warp_images(many, 2, shift=3.0))
    for c in (cy, cx):
        assert 12 <= c.min() < 12.1 and 17.9 < c.max() <= 18
    upright = np.swapaxes(many, 1, 2)
    _, _, angle, _ = moments(data.warp_images(upright, 3, shear=0.3))
    slant = 90 - np.abs(angle)
    assert 15 < slant.max() <= np.rad2deg(np.arctan(0.3)) + 1


def test_images_are_warped_alone_and_in_blocks():
    n = _BLOCK // 784 + 5
    images = np.random.default_rng(0).integers(0, 256, (n, 28, 28), dtype=np.uint8)
    options = {"rotation": 10.0, "scale": 0.1, "shear": 0.1, "shift": 1.0}
    made = data.warp_images(images, 5, **options)
    assert made.dtype == np.uint8 and made.shape == images.shape
    assert np.array_equal(made, data.warp_images(images, np.random.default_rng(5), **options))
    assert np.array_equal(made[:3], data.warp_images(images[:3], 5, **options))
    assert np.array_equal(data.warp_images(images, 5), images)
    floats = data.warp_images(images.astype(np.float32), 5, **options)
    assert floats.dtype == np.float32 and np.abs(floats - made).max() <= 0.5 + 1e-3


MISTAKES = {
    "shape": ({"images": np.zeros((3, 784))}, ValueError, "images have shape (3, 784), expected [n, rows, columns]"),
    "dtype": ({"images": np.zeros((3, 2, 2), int)}, TypeError, "images have dtype int64, expected uint8 or floats"),
    "rotation": ({"rotation": -1}, ValueError, "rotation is -1, expected a finite number >= 0"),
    "scale": ({"scale": 1.0}, ValueError, "scale is 1.0, expected below 1"),
    "rng": ({"rng": None}, TypeError, "rng is None, expected"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake):
    options, kind, message = MISTAKES[mistake]
    with pytest.raises(kind, match=re.escape(message)):
        data.warp_images(**{"images": np.zeros((2, 3, 3)), "rng": 0, **options})
