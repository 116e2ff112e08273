#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/frames/: animations as Pillow writes them, and the frames that Pillow shows.

expected.json   for each file a list of frames: RGBA values of 0 to 255, row by row

Run: python make_frames_fixtures.py   (needs pillow)
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "frames"
OUT.mkdir(parents=True, exist_ok=True)
WIDTH, HEIGHT = 12, 9
expected = {}


def frame(number, opacity=255):
    """A square that moves over a ground; with opacity, the ground is clear."""
    image = Image.new("RGBA", (WIDTH, HEIGHT), (40, 80, 120, 255 if opacity == 255 else 0))
    image.paste((200 - 20 * number, 10 + 30 * number, 60, opacity), (number, number, number + 4, number + 4))
    return image


def expect(name):
    with Image.open(OUT / name) as file:
        expected[name] = [np.asarray(each.convert("RGBA")).flatten().tolist() for each in ImageSequence.Iterator(file)]


def save(name, frames, **options):
    frames[0].save(OUT / name, save_all=True, append_images=frames[1:], duration=100, **options)
    expect(name)


plain = [frame(number) for number in range(4)]
clear = [frame(number, 128) for number in range(4)]
hard = [Image.fromarray(np.where(np.asarray(each)[..., 3:] > 0, np.asarray(each) | (0, 0, 0, 255), 0).astype(np.uint8)) for each in clear]
save("plain.gif", [each.convert("RGB") for each in plain])
save("cleared.gif", hard, disposal=2)
save("kept.gif", hard, disposal=1)
save("previous.gif", hard, disposal=3)
save("plain.png", plain)
# Pillow mixes a half clear frame into what is there as a mask, not as PNG says; so these are clear or not.
save("over.png", hard, blend=1)
save("cleared.png", clear, disposal=1, blend=0)
save("palette.png", [each.convert("RGB").quantize(16) for each in plain])
save("default-image.png", plain, default_image=True)
expected["default-image.png"] = expected["default-image.png"][1:]  # Pillow counts the image for those who show one only
(OUT / "expected.json").write_text(json.dumps(expected))
