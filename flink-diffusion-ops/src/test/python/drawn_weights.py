#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Numbers that Python and Java (DrawnWeights) draw alike, so that networks too large for a fixture can be compared: 24 million weights from their names."""

import re
import zlib

import numpy as np


def bits(name, count):
    """64 bits for each index: SplitMix64, started at the name's CRC-32."""
    with np.errstate(over="ignore"):
        z = np.uint64(zlib.crc32(name.encode())) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(name, count):
    """From 0 to 1, in float32."""
    return (bits(name, count) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def weights(name, shape):
    """A parameter, by its name's end and its shape: layers keep the size of what they get, norms are near 1."""
    u = uniform(name, int(np.prod(shape)))
    if name.startswith("lin"):  # LPIPS' weights of channels, which are never negative
        values = u
    elif len(shape) > 1:
        bound = np.float32(np.sqrt(6.0 / np.prod(shape[1:])))
        values = (np.float32(2) * u - np.float32(1)) * bound
    elif re.search(r"bn\d?\.weight$|running_var$", name):
        values = u + np.float32(0.5)
    else:
        values = (np.float32(2) * u - np.float32(1)) * np.float32(0.1)
    return values.reshape(shape)


def picture(name, height, width):
    """Levels [height,width,3]: noise, which looks smooth when it is enlarged."""
    return (bits(name, height * width * 3) >> np.uint64(56)).astype(np.uint8).reshape(height, width, 3)
