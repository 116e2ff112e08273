#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/photos/: photographs as Pillow and GDAL write them, and Pillow's numbers.

expected.json   for each file what Pillow reads, upright and with colors of a palette: shape (height, width, channels), values

Run: python make_photo_fixtures.py   (needs pillow and webp)
"""

import io
import json
from pathlib import Path

import numpy as np
import webp
from PIL import Image, ImageCms, ImageOps

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "photos"
OUT.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(17)
y, x = np.mgrid[0:20, 0:28]
smooth = np.stack([x * 9, y * 12, (x + y) * 5], 2).astype(np.uint8)
color = Image.fromarray(smooth)
profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
expected = {}


def exif(orientation):
    data = Image.Exif()
    data[274] = orientation
    return data


def save(name, image, **options):
    image.save(OUT / name, **options)
    expect(name)


def expect(name):
    read = ImageOps.exif_transpose(Image.open(OUT / name))
    clear = "transparency" in read.info
    if read.mode == "CMYK":
        read = read.convert("RGB")
    if read.mode == "P":
        read = read.convert("RGBA" if clear else "RGB")
    elif clear:
        read = read.convert({"1": "LA", "L": "LA", "RGB": "RGBA"}[read.mode])
    values = np.asarray(read)
    values = values[..., None] if values.ndim == 2 else values
    expected[name] = {"shape": values.shape, "values": values.flatten().tolist()}


def save_lossy(name, image, partitions=0, **options):
    """By libwebp's own options, of which Pillow passes on a few; its binding does not name the partitions (int 18 of WebPConfig)."""
    config = webp.WebPConfig.new(preset=webp.WebPPreset.DEFAULT, quality=40, lossless=False)
    for key, value in options.items():
        setattr(config.ptr, key, value)
    webp.ffi.cast("int *", config.ptr)[18] = partitions
    (OUT / name).write_bytes(bytes(webp.WebPPicture.from_pil(image).encode(config).buffer()))
    expect(name)


for turned in range(2, 9):
    save(f"turned-{turned}.png", color.resize((6, 4)), exif=exif(turned))
save("progressive.jpg", color, quality=90, progressive=True, subsampling="4:2:0")
save("subsampled.jpg", color, quality=90, subsampling="4:2:2")
save("cmyk.jpg", color.convert("CMYK"), quality=90)
save("profile.jpg", color, quality=90, icc_profile=profile, exif=exif(8))
save("profile.png", color, icc_profile=profile)
save("clear-rgb.png", color, transparency=tuple(int(v) for v in smooth[3, 4]))
save("lossless.webp", color, lossless=True, exif=exif(6), icc_profile=profile)
save("lossy.webp", color, quality=80)
save("lossy-frames.webp", Image.new("RGB", (8, 8)), quality=80, save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
lossy = np.random.default_rng(18)
noise = lossy.integers(0, 256, (17, 33, 3), dtype=np.uint8)
save("lossy-noise.webp", Image.fromarray(noise), quality=5, method=6)
veiled = np.dstack([smooth, np.minimum(255, x * 10).astype(np.uint8)])
save("lossy-alpha.webp", Image.fromarray(veiled), quality=60)
save("lossy-noisy-alpha.webp", Image.fromarray(np.dstack([smooth, lossy.integers(0, 256, (20, 28), dtype=np.uint8)])), quality=60, alpha_quality=50)
save_lossy("lossy-parts.webp", Image.fromarray(noise).resize((19, 70)), partitions=2, filter_type=0, filter_sharpness=5, filter_strength=60)
save_lossy("lossy-sharp.webp", Image.fromarray(noise).resize((35, 40)), filter_type=1, filter_sharpness=6, filter_strength=100, segments=4)
save("frames.gif", color.quantize(16), save_all=True, append_images=[color.rotate(90).quantize(16)])
save("color.bmp", color)
save("palette.bmp", color.quantize(8))
(OUT / "expected.json").write_text(json.dumps(expected) + "\n")
