#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/tiff/: small TIFF files of many kinds as tifffile writes them, and their numbers.

expected.json   for each file its shape (bands, height, width) and numbers by band

Run: python make_tiff_fixtures.py   (see requirements-formats.txt)
"""

import json
from pathlib import Path

import numpy as np
import tifffile

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "tiff"
OUT.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(3)
expected = {}


def save(name, dtype, bands=1, height=37, width=53, high=None, **options):
    smooth = np.cumsum(random.integers(0, 5, (height, width, bands)), axis=1)
    if np.issubdtype(dtype, np.floating):
        data = (smooth * 0.37 - 11).astype(dtype)
    elif np.dtype(dtype).kind == "i":
        data = (smooth * 3 - 90).astype(dtype)
    else:
        data = (smooth * 3 % (high or 256)).astype(dtype)
    planar = options.get("planarconfig") == "separate"
    stored = data.transpose(2, 0, 1) if planar else data
    tifffile.imwrite(OUT / f"{name}.tif", stored.squeeze(), metadata=None, **options)
    expected[name] = {"shape": [bands, height, width], "numbers": data.transpose(2, 0, 1).flatten().tolist()}


gray = {"photometric": "minisblack"}
save("uint8", np.uint8, **gray)
save("uint16-strips-lzw", np.uint16, high=60000, compression="lzw", rowsperstrip=8, **gray)
save("uint16-strips-lzw-predictor", np.uint16, high=60000, compression="lzw", predictor=2, rowsperstrip=5, **gray)
save("uint8-packbits", np.uint8, compression="packbits", rowsperstrip=7, **gray)
save("int16-tiles", np.int16, tile=(16, 32), compression="deflate", predictor=2, **gray)
save("int8", np.int8, **gray)
save("uint32-predictor", np.uint32, high=70000, compression="deflate", predictor=2, **gray)
save("float32-predictor", np.float32, tile=(16, 16), compression="deflate", predictor=3, **gray)
save("float64-big-endian", np.float64, byteorder=">", **gray)
save("float32-big-endian-predictor", np.float32, bands=2, byteorder=">", compression="deflate", predictor=3, planarconfig="contig", **gray)
save("uint16-big-endian-bigtiff", np.uint16, high=60000, byteorder=">", bigtiff=True, compression="lzw", predictor=2, **gray)
save("rgb", np.uint8, bands=3, photometric="rgb", compression="lzw", predictor=2)
save("rgb-planes", np.uint16, bands=3, high=60000, photometric="rgb", planarconfig="separate", compression="deflate")
save("thirteen-bands", np.uint16, bands=13, height=20, width=17, high=10000, planarconfig="contig", compression="deflate", predictor=2, tile=(16, 16), **gray)
save("one-strip-by-rows", np.uint16, high=60000, rowsperstrip=1, **gray)
(OUT / "expected.json").write_text(json.dumps(expected) + "\n")

# Without expectations by number: the tests say what these are.
tifffile.imwrite(OUT / "bilevel.tif", (np.arange(60).reshape(6, 10) % 3 == 0), photometric="minisblack", metadata=None)
tifffile.imwrite(OUT / "white-is-zero.tif", np.array([[0, 255, 100]], np.uint8), photometric="miniswhite", metadata=None)
tifffile.imwrite(OUT / "cmyk.tif", np.array([[[0, 255, 255, 0], [0, 0, 0, 255]]], np.uint8), photometric="separated", metadata=None)
colors = np.zeros((3, 256), np.uint16)
colors[:, 1] = 65535, 0, 32896
tifffile.imwrite(OUT / "palette.tif", np.array([[0, 1]], np.uint8), photometric="palette", colormap=colors, metadata=None)
tifffile.imwrite(OUT / "premultiplied.tif", np.array([[[50, 0, 100, 100]]], np.uint8), photometric="rgb", extrasamples=["assocalpha"], metadata=None)
tifffile.imwrite(OUT / "two-pages.tif", np.array([[[1, 2]], [[3, 4]]], np.uint8), photometric="minisblack", metadata=None)
tifffile.imwrite(OUT / "not-a-number.tif", np.array([[1, np.nan, np.inf]], np.float32), photometric="minisblack", metadata=None)
tifffile.imwrite(OUT / "jpeg.tif", np.zeros((16, 16, 3), np.uint8), photometric="ycbcr", compression="jpeg", metadata=None)
rows, columns = np.mgrid[0:160, 0:160]
many_codes = ((columns * columns * 7 + rows * rows * 13 + columns * rows) % 251).astype(np.uint8)
tifffile.imwrite(OUT / "lzw-many-codes.tif", many_codes, photometric="minisblack", compression="lzw", rowsperstrip=160, metadata=None)
tifffile.imwrite(
    OUT / "geo-tiles.tif",
    (np.arange(48 * 64).reshape(48, 64) % 50000).astype(np.uint16),
    photometric="minisblack",
    tile=(16, 16),
    compression="deflate",
    resolution=(100, 50),
    resolutionunit="CENTIMETER",
    metadata=None,
    description="a scene",
    extratags=[
        (33550, "d", 3, (10.0, 10.0, 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, 500000.0, 4000000.0, 0.0), True),
        (34735, "H", 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633), True),
        (42112, "s", 0, '<GDALMetadata><Item name="sensor">A &amp; B</Item><Item name="MEAN" sample="0">7</Item></GDALMetadata>', True),
        (42113, "s", 0, "0", True),
    ],
)
