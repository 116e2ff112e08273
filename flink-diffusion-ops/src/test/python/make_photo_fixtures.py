"""Writes src/test/resources/fixtures/photos/: photographs as Pillow and GDAL write them, and Pillow's numbers.

expected.json   for each file what Pillow reads, upright and with colors of a palette: shape (height, width, channels), values

Run: python make_photo_fixtures.py   (needs pillow)
"""

import io
import json
from pathlib import Path

import numpy as np
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


for turned in range(2, 9):
    save(f"turned-{turned}.png", color.resize((6, 4)), exif=exif(turned))
save("progressive.jpg", color, quality=90, progressive=True, subsampling="4:2:0")
save("subsampled.jpg", color, quality=90, subsampling="4:2:2")
save("cmyk.jpg", color.convert("CMYK"), quality=90)
save("profile.jpg", color, quality=90, icc_profile=profile, exif=exif(8))
save("profile.png", color, icc_profile=profile)
save("clear-rgb.png", color, transparency=tuple(int(v) for v in smooth[3, 4]))
save("lossless.webp", color, lossless=True, exif=exif(6), icc_profile=profile)
color.save(OUT / "lossy.webp", quality=80)
Image.new("RGB", (8, 8)).save(OUT / "lossy-frames.webp", quality=80, save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
save("frames.gif", color.quantize(16), save_all=True, append_images=[color.rotate(90).quantize(16)])
save("color.bmp", color)
save("palette.bmp", color.quantize(8))
(OUT / "expected.json").write_text(json.dumps(expected) + "\n")
