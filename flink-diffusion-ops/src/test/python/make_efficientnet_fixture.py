#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/quality/efficientnet.json: what EfficientNet-Lite0 sees in images, with weights that drawn_weights.py draws.

Run: python make_efficientnet_fixture.py   (needs efficientnet-lite-pytorch 0.1.0 beside numpy, Pillow and torch; some seconds)

Images are drawn, too, and resized by Pillow. Of features, every 16th is written, and the sum of all.
"""

import json
from pathlib import Path

import numpy as np
import torch
from drawn_weights import picture, weights
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "quality" / "efficientnet.json"
SIZES = [(224, 224), (40, 60), (300, 250)]

torch.set_num_threads(1)
model = EfficientNet.from_name("efficientnet-lite0").eval()
model.load_state_dict({name: torch.from_numpy(weights(name, tuple(v.shape))) if v.dtype == torch.float32 else v for name, v in model.state_dict().items()})
cases = []
for i, (height, width) in enumerate(SIZES):
    image = np.array(Image.fromarray(picture(f"seen{i}", height, width)).resize((224, 224), Image.Resampling.BICUBIC))
    pixels = (torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() - 127) / 128
    with torch.no_grad():
        features = model.extract_features(pixels).mean((2, 3))[0]
    cases.append({"height": height, "width": width, "features": features[::16].tolist(), "sum": features.double().sum().item()})
OUT.write_text(json.dumps(cases) + "\n")
print([(c["sum"], c["features"][:4]) for c in cases])
