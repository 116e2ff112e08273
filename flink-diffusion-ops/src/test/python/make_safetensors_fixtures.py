#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/weights/: what the Python library makes of the same tensors.

every-dtype.safetensors  one tensor of each dtype, a scalar, an empty one, metadata
conversions.safetensors  floats and what torch makes of them in 16 bits: random ones of all magnitudes, halfway cases, edges

Run: python make_safetensors_fixtures.py   (see requirements.txt)
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "weights"
OUT.mkdir(parents=True, exist_ok=True)
generator = torch.Generator().manual_seed(0)

base = torch.tensor([[-2.5, 0.0, 1.0], [3.25, 100.0, -0.125]])
save_file(
    {
        "f64": base.double(),
        "f32": base,
        "f16": base.half(),
        "bf16": base.bfloat16(),
        "i64": torch.tensor([-(2**62), 3]),
        "i32": torch.tensor([-7, 2**30], dtype=torch.int32),
        "i16": torch.tensor([-300, 300], dtype=torch.int16),
        "i8": torch.tensor([-128, 127], dtype=torch.int8),
        "u8": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(0.5),
        "empty": torch.zeros(0, 4),
        "name with \"quotes\" and ü": torch.ones(1),
    },
    OUT / "every-dtype.safetensors",
    metadata={"format": "pt", "note": "ü"},
)

halves = torch.arange(0, 0x7C00, dtype=torch.int32).to(torch.int16).view(torch.float16).float()
bfloats = torch.arange(0, 0x7F80, 7, dtype=torch.int32).to(torch.int16).view(torch.bfloat16).float()
values = torch.cat(
    [
        (halves[:-1] + halves[1:])[::17] / 2,  # exactly between two neighbours
        (bfloats[:-1] + bfloats[1:]) / 2,
        torch.randn(2000, generator=generator) * torch.logspace(-9, 4, 2000),
    ]
)
values = values[values < 65504]
values = torch.cat([values, -values, torch.tensor([float("inf"), -float("inf"), -0.0, 65504.0, 1e-45, 2.0**-25])])
save_file(
    {"f32": values, "f16": values.half(), "bf16": values.bfloat16()},
    OUT / "conversions.safetensors",
)
