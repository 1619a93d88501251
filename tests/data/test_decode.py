from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from edgekd.data.decode import decode, fit
from edgekd.data.reader import CorruptSample


def smooth(width: int, height: int) -> Image.Image:
    """Gradients and waves: an image that resampling does not alias."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = [x / width, y / height, 0.5 + 0.5 * np.sin(x / 9) * np.cos(y / 7)]
    return Image.fromarray((np.stack(planes, axis=-1) * 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("orientation", "turn"), [(1, None), (3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_270)]
)
def test_a_picture_is_upright_as_its_exif_says(orientation: int, turn: Image.Transpose | None) -> None:
    image, exif, stream = smooth(8, 6), Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    image.save(stream, "PNG", exif=exif)
    expected = image if turn is None else image.transpose(turn)
    np.testing.assert_array_equal(np.asarray(decode(stream.getvalue())), np.asarray(expected))


@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 96), (64, 64), (40, 60), (16, 16)])
def test_fit_equals_resize_then_centre_crop_of_torchvision(width: int, height: int) -> None:
    image = smooth(width, height)
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    resized = functional.resize(tensor, [32], antialias=True)
    expected = functional.center_crop(resized, [32, 32]).permute(1, 2, 0).numpy()
    got = fit(image, (32, 32), 3)
    assert got.shape == (32, 32, 3) and got.dtype == np.uint8
    assert np.abs(got.astype(int) - expected.astype(int)).max() <= 2


def test_an_image_of_the_right_size_is_untouched() -> None:
    image = smooth(20, 12)
    assert np.array_equal(fit(image, (12, 20), 3), np.array(image))


def test_a_wide_target_crops_the_height() -> None:
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[10:30] = 200  # the centred band of height 20 is what a 40x20 crop keeps
    assert (fit(pixels, (10, 20), 3)[1:-1] == 200).all()


def test_grey_and_colour_convert() -> None:
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    assert (fit(red, (4, 4), 1) == 76).all()  # 0.299 * 255, ITU-R 601
    assert fit(np.full((4, 4), 9, np.uint8), (4, 4), 3).tolist() == np.full((4, 4, 3), 9).tolist()
    assert (fit(np.full((4, 4, 1), 9, np.uint8), (4, 4), 1) == 9).all()


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    image = decode(encoded(Image.fromarray(np.full((4, 4), 0x8000, np.uint16)), "PNG"))
    assert (fit(image, (4, 4), 3) == 0x80).all()


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA", "CMYK", "1"])
def test_other_modes_become_colour(mode: str) -> None:
    image = Image.new("RGB", (6, 6), (255, 255, 255)).convert(mode)
    assert (fit(image, (6, 6), 3) == 255).all()


@pytest.mark.parametrize(
    "content",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        Image.new("F", (4, 4)),
        "a text",
    ],
)
def test_what_is_no_image_is_refused(content: object) -> None:
    with pytest.raises(CorruptSample):
        fit(content, (4, 4), 3)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "GIF"])
def test_truncated_files_are_corrupt(kind: str) -> None:
    data = encoded(smooth(64, 48), kind)
    assert decode(data).size == (64, 48)
    for keep in (len(data) // 2, 20, 3):
        with pytest.raises(CorruptSample):
            decode(data[:keep])


def test_files_that_are_no_images() -> None:
    with pytest.raises(CorruptSample, match="empty"):
        decode(b"")
    with pytest.raises(CorruptSample, match="not an image"):
        decode(b"just a text file with the wrong suffix")


def test_a_broken_png_checksum_is_corrupt() -> None:
    data = bytearray(encoded(smooth(16, 16), "PNG"))
    data[data.index(b"IHDR") + 5] ^= 0xFF
    with pytest.raises(CorruptSample):
        decode(bytes(data))


def test_an_image_bomb_is_corrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(CorruptSample, match="decompression bomb"):
        decode(encoded(smooth(64, 64), "PNG"))
