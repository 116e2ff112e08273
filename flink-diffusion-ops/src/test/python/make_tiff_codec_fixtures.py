#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/tiff-codecs/: TIFF files of rarer layouts and compressions as tifffile and GDAL write them, and their numbers.

expected.json   for each file its shape (bands, height, width) and numbers by band, as tifffile decodes it

Run: python make_tiff_codec_fixtures.py   (needs tifffile, imagecodecs and rasterio)
"""

import json
import warnings
from pathlib import Path

import numpy as np
import rasterio
import tifffile

warnings.simplefilter("ignore")
OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "tiff-codecs"
OUT.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(17)
expected = {}
y, x = np.mgrid[0:32, 0:48]
smooth = np.stack([x * 5, y * 7, (x + y) * 3], 2).astype(np.uint8)


def keep(name):
    values = tifffile.imread(OUT / name)
    values = values[..., None] if values.ndim == 2 else values
    expected[name] = {"shape": [values.shape[2], *values.shape[:2]], "numbers": values.transpose(2, 0, 1).astype(float).flatten().tolist()}


def save(name, data, **options):
    tifffile.imwrite(OUT / name, data, metadata=None, **options)
    keep(name)


def gdal(name, data, **options):
    bands, height, width = data.shape
    with rasterio.open(OUT / name, "w", driver="GTiff", count=bands, height=height, width=width, dtype=data.dtype, **options) as file:
        file.write(data)
    keep(name)


gray = {"photometric": "minisblack"}
save("half.tif", (smooth[..., 0] / 3 - 20).astype(np.float16), **gray)
save("int64.tif", smooth[..., 0].astype(np.int64) * 1000 - 70000, compression="deflate", predictor=2, **gray)
save("twelve-bits.tif", smooth[..., 0].astype(np.uint16) * 16, bitspersample=12, **gray)
save("jpeg-rgb.tif", smooth, photometric="rgb", compression="jpeg", tile=(16, 16))
save("zstd.tif", smooth.astype(np.uint16) * 200, photometric="rgb", compression="zstd", predictor=2)
save("webp-lossless.tif", smooth, photometric="rgb", compression="webp", compressionargs={"lossless": True}, tile=(16, 16))
gdal("jpeg-ycbcr.tif", smooth.transpose(2, 0, 1), compress="jpeg", photometric="ycbcr", tiled=True, blockxsize=16, blockysize=16)
gdal("fax-4.tif", ((x[None] // 5 + y[None] // 3) % 2).astype(np.uint8), compress="ccittfax4", nbits=1)
gdal("fax-3.tif", ((x[None] // 5 + y[None] // 3) % 2).astype(np.uint8), compress="ccittfax3", nbits=1)
gdal("lzma.tif", smooth.transpose(2, 0, 1).astype(np.uint16) * 200 + random.integers(0, 9, (3, 32, 48)).astype(np.uint16), compress="lzma", predictor=2, tiled=True, blockxsize=16, blockysize=16)
save("lzma-xz.tif", np.concatenate([smooth[..., 0]] * 3), compression="lzma", **gray)
(OUT / "expected.json").write_text(json.dumps(expected) + "\n")
