#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes core/src/main/resources/io/github/flinkdiffusion/ops/image/label-glyphs.png: the characters 32 to 126 of visible labels, drawn once with
DejaVu Sans Mono Bold, so that labels need no font on the machine and are the same on each. A cell has 12 x 24 pixels; white is the character.

Run: python make_label_glyphs.py [FONT]   (needs Pillow; the font is in Debian's fonts-dejavu-core)
"""

import pathlib
import sys

from PIL import Image, ImageDraw, ImageFont

OUT = pathlib.Path(__file__).parents[3] / "core/src/main/resources/io/github/flinkdiffusion/ops/image/label-glyphs.png"
FONT = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf"
WIDTH, HEIGHT, FIRST, LAST = 12, 24, 32, 126

font = ImageFont.truetype(FONT, 19)
sheet = Image.new("L", (WIDTH * (LAST - FIRST + 1), HEIGHT))
draw = ImageDraw.Draw(sheet)
for code in range(FIRST, LAST + 1):
    cell = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(cell).text((WIDTH / 2, 18), chr(code), font=font, fill=255, anchor="ms")
    sheet.paste(cell, ((code - FIRST) * WIDTH, 0))
sheet.save(OUT, optimize=True)
print(OUT.stat().st_size, "bytes")
