#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes images that diffusers makes with LoRAs as adapters (``set_adapters``), under src/test/resources/fixtures/lora/adapters. Needs peft.

``cases.json`` lists runs: ``name`` (also the tensor of ``images.safetensors``, channels x height x width, 0..1), ``model`` (a folder under
``fixtures/models``), ``loras`` (file and scale, in order), and the call's arguments.
"""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402
from diffusers import DiffusionPipeline  # noqa: E402

from fixture_tools import FIXTURES, configure_torch, seeded, write_json, write_tensors  # noqa: E402

LORAS = FIXTURES.parent / "lora"
TARGET = LORAS / "adapters"

CALL = {"prompt": "a photo of a small cat", "num_inference_steps": 4, "guidance_scale": 3.0, "width": 32, "height": 32}
SKIP = {"clip_skip": 1, "negative_prompt": "a dog"}

RUNS = [
    ("none", "tiny-sd1", [], {}),
    ("kohya", "tiny-sd1", [("kohya-sd1", 0.8)], {}),
    ("kohya-skipping", "tiny-sd1", [("kohya-sd1", -0.5)], SKIP),
    ("locon", "tiny-sd1", [("kohya-locon", 1.0)], {}),
    ("no-alpha", "tiny-sd1", [("kohya-no-alpha", 0.5)], {}),
    ("metadata", "tiny-sd1", [("peft-metadata", 1.0)], {}),
    ("peft", "tiny-sd1", [("peft", 0.7)], {}),
    ("old", "tiny-sd1", [("old", 1.0)], {}),
    ("two", "tiny-sd1", [("kohya-sd1", 0.7), ("peft", -0.4)], {}),
    ("dora", "tiny-sd1", [("peft-dora", 0.8)], {}),
    ("xl-none", "tiny-sdxl", [], {}),
    ("xl-kohya", "tiny-sdxl", [("kohya-sdxl", 0.6)], {}),
    ("xl-kohya-skipping", "tiny-sdxl", [("kohya-sdxl", 1.0)], SKIP),
]


def image(model, loras, more):
    pipe = DiffusionPipeline.from_pretrained(str(FIXTURES / model), torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    for file, _ in loras:
        pipe.load_lora_weights(str(LORAS / f"{file}.safetensors"), adapter_name=file)
    if loras:
        pipe.set_adapters([file for file, _ in loras], [scale for _, scale in loras])
    if not hasattr(pipe.text_encoder, "text_model"):
        # diffusers 0.42 looks for the final norm where transformers had it before its version 5.
        object.__setattr__(pipe.text_encoder, "text_model", pipe.text_encoder)
    made = pipe(**CALL, **more, generator=seeded(3), output_type="np").images[0]
    return torch.from_numpy(made).permute(2, 0, 1).contiguous()


def main():
    configure_torch()
    TARGET.mkdir(parents=True, exist_ok=True)
    images = {name: image(model, loras, more) for name, model, loras, more in RUNS}
    for name, model, loras, _ in RUNS:
        plain = images["xl-none" if model == "tiny-sdxl" else "none"]
        print(name, "differs from none by", float((images[name] - plain).abs().max()))
    cases = [
        {"name": name, "model": model, "loras": [{"file": f"{file}.safetensors", "scale": scale} for file, scale in loras], "arguments": {**CALL, **more}}
        for name, model, loras, more in RUNS
    ]
    write_json(TARGET / "cases.json", cases)
    write_tensors(TARGET / "images.safetensors", images)


if __name__ == "__main__":
    main()
