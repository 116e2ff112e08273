#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/preprocess: pictures, their edges by OpenCV's Canny, and what diffusers' VaeImageProcessor
makes of them with resize_mode="crop". `cases.json` names the files: edges (source, low, high, file) and sizes (source, width,
height, file).

Run: python make_preprocessor_fixtures.py   (see requirements.txt)
"""

import json
from pathlib import Path

import cv2
import numpy as np
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "preprocess"


def picture(seed, height, width, channels):
    """Shapes of random levels over a slope, with a little noise, so that gradients of all sizes and directions are there."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    values = np.zeros((height, width, channels))
    for c in range(channels):
        values[..., c] = random.uniform(0, 255) + x * random.uniform(-2, 2) + y * random.uniform(-2, 2)
    for _ in range(7):
        cy, cx, r = random.uniform(0, height), random.uniform(0, width), random.uniform(1, max(2, min(height, width) / 3))
        inside = (y - cy) ** 2 + (x - cx) ** 2 < r**2 if random.random() < 0.5 else (abs(y - cy) + abs(x - cx) * random.uniform(0.3, 2)) < r
        values[inside] = random.uniform(0, 255, channels)
    values += random.normal(0, 6, values.shape)
    return np.clip(values, 0, 255).astype(np.uint8)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    cases = {"edges": [], "sizes": []}
    for number, (height, width, channels) in enumerate([(48, 64, 3), (61, 47, 1), (3, 5, 3), (1, 9, 1), (64, 64, 3), (40, 33, 1)]):
        pixels = picture(number, height, width, channels)
        source = f"source-{number}.png"
        Image.fromarray(pixels if channels == 3 else pixels[..., 0]).save(OUT / source)
        seen = pixels if channels == 3 else np.ascontiguousarray(pixels[..., 0])
        for low, high in [(100, 200), (0, 50), (50.7, 300.2), (220, 90), (400, 400)]:
            edges = cv2.Canny(seen, low, high)
            file = f"edges-{number}-{low}-{high}.png"
            Image.fromarray(edges).save(OUT / file)
            cases["edges"].append({"source": source, "low": low, "high": high, "file": file})
        for wide, high in [(32, 32), (24, 56), (80, 16)]:
            if min(height, width) < 10:
                continue
            original = Image.open(OUT / source)
            # It makes color of gray; ours stays gray.
            fitted = VaeImageProcessor().resize(original, high, wide, resize_mode="crop").convert(original.mode)
            file = f"fit-{number}-{wide}x{high}.png"
            fitted.save(OUT / file)
            cases["sizes"].append({"source": source, "width": wide, "height": high, "file": file})
    (OUT / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
