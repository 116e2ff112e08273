#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/no-data/: GeoTIFFs that say where there is no data, as GDAL writes them.

mask.tif            a COG of two bands with an internal mask: no data right of column 20
sparse-mask.tif     the same in tiles of 16, of which those without data are left out, and the mask's with them
nan.tif             floats, no data is not a number
text.tif            8 bits, of which none is the number -9999 that the file names
bands.tif           two bands, the number 7 at different places
multi-page.tif      three pages, each with a reduced image behind it
alpha.tif           red, green, blue and opacity of 8 bits: 0 right of column 20, 100 below row 24, else 255
alpha-measured.tif  four bands of 16 bits and opacity, which is 0 in the first two rows
alpha-number.tif    gray and opacity, with the number 9 for no data: GDAL then takes no opacity for a mask
alpha-float.tif     gray and opacity as floats: GDAL takes those for no mask

Run: python make_no_data_fixtures.py   (needs rasterio 1.4 and tifffile)
"""

from pathlib import Path

import numpy as np
import rasterio
import tifffile
from rasterio.transform import from_origin

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "no-data"
OUT.mkdir(parents=True, exist_ok=True)
where = {"crs": "EPSG:32633", "transform": from_origin(500000, 5000000, 10, 10), "driver": "GTiff"}
random = np.random.default_rng(4)


def save(name, data, mask=None, **options):
    bands, height, width = data.shape
    profile = dict(where, count=bands, height=height, width=width, dtype=data.dtype, **options)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(OUT / name, "w", **profile) as file:
        file.write(data)
        if mask is not None:
            file.write_mask(mask)


data = random.integers(1, 60000, (2, 32, 32)).astype(np.uint16)
mask = np.ones((32, 32), bool)
mask[:, 20:] = False
data[:, :, 20:] = 12345
save("mask.tif", data, mask, compress="deflate")
mask[:, 16:] = False
data[:, :, 16:] = 0
save("sparse-mask.tif", data, mask, tiled=True, blockxsize=16, blockysize=16, sparse_ok=True)
floats = random.random((1, 8, 8), np.float32)
floats[0, :2, 3] = np.nan
save("nan.tif", floats, nodata=np.nan)
tifffile.imwrite(
    OUT / "text.tif",
    np.arange(64, dtype=np.uint8).reshape(8, 8),
    photometric="minisblack",
    metadata=None,
    extratags=[(42113, "s", 0, "-9999", True)],
)
bands = random.integers(8, 250, (2, 8, 8)).astype(np.uint8)
bands[0, 0, :4] = 7
bands[1, 0, 2:6] = 7
save("bands.tif", bands, nodata=7)
with tifffile.TiffWriter(OUT / "multi-page.tif") as file:
    for page in range(3):
        whole = np.full((8, 8), 10 * page, np.uint8)
        file.write(whole, photometric="minisblack", metadata=None)
        file.write(whole[::2, ::2] + 1, photometric="minisblack", metadata=None, subfiletype=1)

opacity = np.full((1, 32, 32), 255, np.uint8)
opacity[:, 24:] = 100
opacity[:, :, 20:] = 0
shown = np.concatenate([random.integers(1, 250, (3, 32, 32)).astype(np.uint8), opacity])
save("alpha.tif", shown, photometric="rgb", alpha="yes")
measured = random.integers(1, 10_000, (8, 8, 5)).astype(np.uint16)
measured[:, :, 4] = 65535
measured[:2, :, 4] = 0
tifffile.imwrite(
    OUT / "alpha-measured.tif", measured, photometric="minisblack", planarconfig="contig", extrasamples=[0, 0, 0, 2], metadata=None
)
gray = np.full((2, 8, 8), 50, np.uint8)
gray[1, 0] = 0
gray[0, 1] = 9
save("alpha-number.tif", gray, photometric="minisblack", alpha="yes", nodata=9)
save("alpha-float.tif", (gray / 64).astype(np.float32), photometric="minisblack", alpha="yes")
for name in ["alpha.tif", "alpha-number.tif", "alpha-float.tif"]:
    with rasterio.open(OUT / name) as file:
        print(name, [interpretation.name for interpretation in file.colorinterp], np.count_nonzero(file.read_masks(1) == 0))
