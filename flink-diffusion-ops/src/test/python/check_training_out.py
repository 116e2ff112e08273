#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Checks what trainings write: diffusers opens every folder, LoRA and embedding, and makes the image that this project makes of it.

Run from flink-diffusion-ops: python src/test/python/check_training_out.py --classpath CLASSPATH   (tests' class path, with target/test-classes)
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel, DiffusionPipeline, StableDiffusionControlNetPipeline, UNet2DConditionModel
from safetensors.torch import load_file

TOLERANCE = 1e-3


def call(pipeline, prompt, **more):
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(3)
    options = ({"prompt": prompt, "guidance_scale": 5.0} if prompt else {}) | more
    return pipeline(num_inference_steps=4, generator=generator, output_type="np", **options).images[0].transpose(2, 0, 1)


def images(case):
    """What diffusers makes of a case, by each of the ways in which it can open it."""
    # The folder says which pipeline: a student has its own.
    kind = DiffusionPipeline
    options = {"torch_dtype": torch.float32} | ({"safety_checker": None} if case["prompt"] else {})
    pipeline = kind.from_pretrained(case["model"], **options)
    if "control" in case:
        yield from controlled(case, pipeline, options)
        return
    if "lora" in case:
        pipeline.load_lora_weights(case["lora"])
    yield "the folder" if "lora" not in case else "the LoRA", call(pipeline, case["prompt"])
    if "embedding" in case:
        pipeline = kind.from_pretrained(case["base"], **options)
        pipeline.load_textual_inversion(case["embedding"])
        yield "the embedding", call(pipeline, case["prompt"])


def controlled(case, pipeline, options):
    assert isinstance(pipeline, StableDiffusionControlNetPipeline), type(pipeline)
    control = load_file(case["control"])["image"][None]
    yield "the folder", call(pipeline, case["prompt"], image=control)
    network = ControlNetModel.from_pretrained(case["controlnet"], torch_dtype=torch.float32)
    # What diffusers would begin a training with has the same config.
    unet = UNet2DConditionModel.from_pretrained(Path(case["base"]) / "unet")
    expected, found = ({k: json.dumps(v) for k, v in each.config.items() if not k.startswith("_")} for each in (ControlNetModel.from_unet(unet), network))
    assert found == expected, {k: (found.get(k), expected.get(k)) for k in found.keys() | expected.keys() if found.get(k) != expected.get(k)}
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(case["base"], controlnet=network, **options)
    yield "the ControlNet beside its base", call(pipeline, case["prompt"], image=control)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classpath", required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bad = 0
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(["java", "-Xmx1g", "-Dai.djl.offline=true", "-cp", arguments.classpath, "io.github.flinkdiffusion.ops.training.WriteTrainedModels", out], check=True)
        for file in sorted(Path(out).glob("*/case.json")):
            expected = load_file(str(file.parent / "image.safetensors"))["image"].numpy()
            for what, image in images(json.loads(file.read_text())):
                difference = float(np.abs(image - expected).max()) if image.shape == expected.shape else float("inf")
                bad += not difference <= TOLERANCE
                print(f"{file.parent.name}: {what}, greatest difference {difference:.2e}")
    print("wrong: %d" % bad)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
