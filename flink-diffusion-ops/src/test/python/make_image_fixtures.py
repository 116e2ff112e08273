#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/image/: small PNG files of every kind as Pillow writes them, and what diffusers makes of floats.

expected.json   for each file its samples as Pillow reads them (rows of pixels of channels), and for floats the bytes of
                diffusers' numpy_to_pil

Run: python make_image_fixtures.py   (see requirements.txt)
"""

import json
from pathlib import Path

import numpy as np
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "image"
OUT.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(0)
files = {}


def save(name, image, mode, **options):
    image.save(OUT / f"{name}.png", **options)
    pixels = np.asarray(Image.open(OUT / f"{name}.png").convert(mode))
    files[name] = pixels.reshape(image.height, image.width, -1).tolist()


def noise(channels):
    return random.integers(0, 256, (4, 5, channels), dtype=np.uint8).squeeze()


save("gray", Image.fromarray(noise(1)), "L")
save("gray-alpha", Image.fromarray(noise(2), "LA"), "LA")
save("rgb", Image.fromarray(noise(3)), "RGB")
save("rgba", Image.fromarray(noise(4)), "RGBA")
save("rgb-with-gamma-and-text", Image.fromarray(noise(3)), "RGB", dpi=(72, 72))
palette = Image.fromarray(random.integers(0, 9, (4, 5), dtype=np.uint8), "P")
palette.putpalette(random.integers(0, 256, 27, dtype=np.uint8).tobytes())
save("palette", palette, "RGB")
save("palette-with-transparency", palette, "RGBA", transparency=bytes([0, 100, 255, 255, 7, 255, 255, 255, 255]))
save("palette-2-bits", palette.point(lambda index: index % 4), "RGB", bits=2)
save("gray-16-bits", Image.fromarray(random.integers(0, 65536, (4, 5), dtype=np.uint16)), "I;16")
save("gray-1-bit", Image.fromarray(noise(1) > 99), "L")

halves = (np.arange(255, dtype=np.float32) + np.float32(0.5)) / np.float32(255)
floats = np.concatenate(
    [halves, np.nextafter(halves, np.float32(0)), np.nextafter(halves, np.float32(1)), random.random(255, dtype=np.float32)]
).astype(np.float32)
(picture,) = VaeImageProcessor.numpy_to_pil(floats.reshape(1, 4, 255, 1).repeat(3, axis=3))
expected = {
    "files": files,
    "floats": {"bits": floats.view(np.int32).tolist(), "bytes": np.asarray(picture)[:, :, 0].flatten().tolist()},
}
(OUT / "expected.json").write_text(json.dumps(expected) + "\n")
