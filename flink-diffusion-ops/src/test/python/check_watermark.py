#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Counts in how many images the spread spectrum watermark is read after they were changed.

  1. embed:   java -cp CLASSES io.github.flinkdiffusion.ops.image.WatermarkProgram embed KEY PLAIN MARKED
  2. change:  python check_watermark.py change PLAIN MARKED OUT
  3. read:    for each folder below OUT, java ... WatermarkProgram read KEY FOLDER COMMON > FOLDER.txt
  4. report:  python check_watermark.py report OUT

`python check_watermark.py pictures PHOTOS PLAIN` cuts 500 images out of the photos below a folder: 256 to 768
pixels a side, at random scales, without those that are transparent.
"""

import io
import pathlib
import sys

import numpy as np
from PIL import Image

SIZES = [(256, 256), (512, 512), (320, 256), (384, 512), (256, 400), (768, 512), (640, 640), (300, 301), (448, 448)]
COUNT = 500


def pictures(photos, out):
    files = sorted(p for p in pathlib.Path(photos).rglob("*") if p.suffix in (".jpg", ".png"))
    files = [p for p in files if Image.open(p).mode in ("RGB", "L")]
    random = np.random.default_rng(7)
    at = made = 0
    while made < COUNT:
        height, width = SIZES[made % len(SIZES)]
        image = Image.open(files[at % len(files)]).convert("RGB")
        at += 1
        image.thumbnail((1280, 1280), Image.LANCZOS)
        least = max(height / image.height, width / image.width)
        if least > 1:
            continue
        scale = np.exp(random.uniform(np.log(least), 0))
        w, h = max(width, round(image.width * scale)), max(height, round(image.height * scale))
        x, y = random.integers(0, w - width + 1), random.integers(0, h - height + 1)
        image.resize((w, h), Image.LANCZOS).crop((x, y, x + width, y + height)).save(f"{out}/{made:03d}.png")
        made += 1


def jpeg(image, random):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    return Image.open(file).convert("RGB")


def crop(image, random):
    """A tenth of each side is cut off, somewhere."""
    w, h = round(0.9 * image.width), round(0.9 * image.height)
    x, y = random.integers(0, image.width - w + 1), random.integers(0, image.height - h + 1)
    return image.crop((x, y, x + w, y + h))


def scaled(factor):
    return lambda image, random: image.resize((round(image.width * factor), round(image.height * factor)), Image.BICUBIC)


def brightness(factor):
    return lambda image, random: Image.fromarray(
        np.clip(np.rint(np.asarray(image).astype(float) * factor), 0, 255).astype(np.uint8))


CHANGES = {
    "none": lambda image, random: image,
    "jpeg-50": jpeg,
    "crop-10": crop,
    "resize-0.5": scaled(0.5),
    "resize-0.8": scaled(0.8),
    "brighter-20": brightness(1.2),
    "darker-20": brightness(0.8),
    "plain": None,
}


def change(plain, marked, out):
    noise = []
    for number, path in enumerate(sorted(pathlib.Path(marked).glob("*.png"))):
        image = Image.open(path).convert("RGB")
        before = Image.open(pathlib.Path(plain) / path.name).convert("RGB")
        random = np.random.default_rng(number)
        error = np.mean((np.asarray(image).astype(float) - np.asarray(before)) ** 2)
        noise.append(10 * np.log10(255**2 / error))
        for name, function in CHANGES.items():
            folder = pathlib.Path(out) / name
            folder.mkdir(parents=True, exist_ok=True)
            changed = before if function is None else function(image, random)
            changed.save(folder / path.name, compress_level=1)
    print(f"PSNR: least {min(noise):.2f} dB, mean {np.mean(noise):.2f} dB, of {len(noise)} images")


def report(out):
    mask = (1 << 48) - 1
    for name in CHANGES:
        lines = (pathlib.Path(out) / f"{name}.txt").read_text().splitlines()
        right = wrong = 0
        for number, line in enumerate(lines):
            found = line.split()[1]
            payload = ((number + 1) * 0x9E3779B97F4A7C15 & (1 << 64) - 1) >> 16 & mask
            right += found == f"{payload:012x}"
            wrong += found not in ("none", f"{payload:012x}")
        print(f"{name:12} read in {right} of {len(lines)} ({100 * right / len(lines):.1f} %), wrong {wrong}")


if __name__ == "__main__":
    {"pictures": pictures, "change": change, "report": report}[sys.argv[1]](*sys.argv[2:])
