"""From a file's bytes to the network's pixels: decode, convert, resize, crop."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from edgekd.data.reader import Content, CorruptSample

# What Pillow's decoders raise on broken files. SyntaxError is its way to say "broken PNG"; struct.error, zlib.error,
# EOFError, IndexError and ValueError come from headers that end early or contradict themselves.
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def decode(data: bytes) -> Image.Image:
    """A fully decoded image, upright as its EXIF orientation says; a truncated file is found here and not later.

    Raises:
        CorruptSample: the bytes are no complete image.
    """
    if not data:
        raise CorruptSample("the file is empty")
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        image = ImageOps.exif_transpose(image)
    except BROKEN as error:
        reason = str(error) or type(error).__name__
        if isinstance(error, Image.UnidentifiedImageError):
            reason = "not an image in any known format"
        raise CorruptSample(reason) from error
    return image


def fit(content: Content, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """`(H, W, C)` uint8: the largest centred crop of the target's shape, resized bilinearly with antialiasing.

    Cropping the source and resizing the crop in one step equals resizing the shorter side and cropping the centre,
    without rounding the intermediate size.

    Args:
        content: a PIL image, or a uint8 array `(H, W)` or `(H, W, C)` with 1, 3 or 4 channels.
        size: (height, width) in pixels.
        channels: 1 or 3.

    Raises:
        CorruptSample: pixels with no 8-bit meaning, or no pixels at all.
    """
    image = _as_mode(_as_image(content), "L" if channels == 1 else "RGB")
    height, width = size
    if image.size != (width, height):
        scale = min(image.width / width, image.height / height)
        crop_width, crop_height = width * scale, height * scale
        left, top = (image.width - crop_width) / 2, (image.height - crop_height) / 2
        box = (left, top, left + crop_width, top + crop_height)
        image = image.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.array(image, dtype=np.uint8).reshape(height, width, channels)


def _as_image(content: Content) -> Image.Image:
    if isinstance(content, Image.Image):
        return content
    if isinstance(content, str | list):
        raise CorruptSample("a text, not an image")
    array: NDArray[Any] = content[..., 0] if content.ndim == 3 and content.shape[2] == 1 else content
    if array.dtype != np.uint8:
        raise CorruptSample(f"pixels of type {array.dtype}, not uint8")
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise CorruptSample(f"an array of shape {array.shape} is no image")
    return Image.fromarray(np.ascontiguousarray(array))


def _as_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode.startswith("I;16"):  # Pillow would clip 16-bit pixels at 255 instead of scaling them
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise CorruptSample(f"32-bit pixels (mode {image.mode}) have no 8-bit meaning; convert them to 8 bits")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(mode)
