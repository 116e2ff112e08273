#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Makes ../resources/lmdb/data.mdb: a database of images as LSUN has them, by py-lmdb (pip install lmdb numpy pillow).

80 PNG images of one gray each, their index, under keys in another order; number 40 is noise, so that its value needs pages of its own.
"""

import io
from pathlib import Path

import lmdb
import numpy
from PIL import Image

OUT = Path(__file__).resolve().parents[1] / "resources" / "lmdb"
COUNT = 80


def png(i):
    pixels = numpy.full((4, 4), i, "uint8") if i != 40 else numpy.random.default_rng(40).integers(0, 256, (64, 64), "uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    file = OUT / "data.mdb"
    file.unlink(missing_ok=True)
    with lmdb.open(str(file), subdir=False, map_size=1 << 20, lock=False) as environment:
        for part in (range(0, COUNT, 2), range(1, COUNT, 2)):
            with environment.begin(write=True) as transaction:
                for i in part:
                    # Long keys, as LSUN's digests are, so that branches have several pages.
                    transaction.put(b"%032d" % i + b"k" * 64, png(i))


if __name__ == "__main__":
    main()
