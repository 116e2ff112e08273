#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/image/watermark-*: pictures that diffusers' StableDiffusionXLWatermarker has marked.

watermark.json          cases: name, height, width; bits and matching, what the package's reader finds in the PNG file (its
                        samples as float32; from 8-bit samples it reads with another zero of color, see `eightBit`); unmarked,
                        how many bits match in the picture before it was marked
watermark-<name>.png    the marked picture
watermark.safetensors   for each case every 97th value of the marked picture (channels x height x width, 0..1, not rounded)

The pictures are a formula (see `picture`) that a test can repeat exactly.

Run: python make_watermark_fixtures.py   (see requirements.txt; invisible-watermark without its dependencies will do)
"""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion_xl.watermark import WATERMARK_BITS, StableDiffusionXLWatermarker
from imwatermark import WatermarkDecoder
from PIL import Image
from safetensors.torch import save_file

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "image"
CASES = (("square", 256, 256), ("odd", 259, 302), ("wide", 130, 514), ("narrow", 300, 255))


def picture(height, width):
    """Triangle waves with noise, -1..1 and a little beyond, as a decoder puts them out. Noise is a linear congruence."""
    values = np.empty((3, height, width), np.float32)
    state = height
    for c in range(3):
        for y in range(height):
            for x in range(width):
                state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
                wave = (x * (3 + c) + 2 * y + x * y // (37 + 9 * c)) % 522
                level = (522 - wave if wave > 261 else wave) - 3 + state / 2.0**32
                values[c, y, x] = 2 * level / 255 - 1
    return values


def read(rgb):
    """What the package's reader finds in a picture of height x width x channels."""
    return [int(bit) for bit in WatermarkDecoder("bits", 48).decode(np.ascontiguousarray(rgb[:, :, ::-1]), "dwtDct")]


def matching(bits):
    return sum(a == b for a, b in zip(bits, WATERMARK_BITS))


def main():
    cases, tensors = [], {}
    for name, height, width in CASES:
        plain = torch.from_numpy(picture(height, width))[None]
        marked = StableDiffusionXLWatermarker().apply_watermark(plain)[0] / 2 + 0.5
        tensors[name] = marked.flatten()[::97].clone().float()
        levels = (marked.permute(1, 2, 0).numpy() * 255).round().clip(0, 255).astype(np.uint8)
        case = {"name": name, "height": height, "width": width}
        if width < 256:
            cases.append({**case, "skipped": bool((marked == plain[0] / 2 + 0.5).all())})
            continue
        Image.fromarray(levels).save(OUT / f"watermark-{name}.png", optimize=True)
        before = (255 * (plain[0] / 2 + 0.5)).permute(1, 2, 0).numpy()
        bits = read(levels.astype(np.float32))
        cases.append({**case, "bits": "".join(map(str, bits)), "matching": matching(bits), "eightBit": matching(read(levels)),
                      "unmarked": matching(read(before))})
        print(cases[-1], "largest change", np.abs(before - levels).max())
    (OUT / "watermark.json").write_text(json.dumps(cases, indent=1) + "\n")
    save_file(tensors, str(OUT / "watermark.safetensors"))


if __name__ == "__main__":
    main()
