#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/image/resize.json: checksums of what Pillow makes of pseudo-random pictures in many sizes.

A case: filter (Pillow's number), channels, from and to (height, width), hard (samples are 0 or 255 only, so that filters
overshoot), seed, crc (CRC-32 of the result's samples, pixel by pixel). Samples are the high bytes of a linear congruence.

Run: python make_resize_fixtures.py   (see requirements.txt)
"""

import json
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "image"
FILTERS = (1, 2, 3, 4, 5)
SIZES = [
    ((1, 1), (5, 7)),
    ((9, 13), (1, 1)),
    ((16, 16), (16, 16)),
    ((16, 24), (16, 11)),
    ((16, 24), (40, 24)),
    ((512, 512), (224, 224)),
    ((300, 200), (17, 451)),
    ((64, 100), (32, 50)),
    ((37, 53), (222, 318)),
    ((3, 700), (70, 3)),
]


def samples(seed, count, hard):
    values = np.empty(count, np.uint8)
    state = seed
    for i in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values[i] = (255 if state >> 31 else 0) if hard else state >> 24
    return values


def main():
    random = np.random.default_rng(0)
    sizes = SIZES + [tuple(tuple(int(n) for n in random.integers(1, 90, 2)) for _ in range(2)) for _ in range(50)]
    cases = []
    for number, (source, target) in enumerate(sizes):
        for code in FILTERS:
            seed, hard, channels = 1000 * number + code, number % 3 == 1, (3, 1)[number % 2]
            data = samples(seed, source[0] * source[1] * channels, hard).reshape(*source, channels).squeeze(-1 if channels == 1 else ())
            resized = Image.fromarray(data).resize(target[::-1], Image.Resampling(code))
            crc = zlib.crc32(np.asarray(resized).tobytes())
            cases.append({"filter": code, "channels": channels, "from": source, "to": target, "hard": hard, "seed": seed, "crc": crc})
    (OUT / "resize.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
