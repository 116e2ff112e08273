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
from diffusers import DDPMPipeline, DiffusionPipeline, StableDiffusionPipeline
from safetensors.torch import load_file

TOLERANCE = 1e-3


def call(pipeline, prompt):
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(3)
    options = {"prompt": prompt, "guidance_scale": 5.0} if prompt else {}
    return pipeline(num_inference_steps=4, generator=generator, output_type="np", **options).images[0].transpose(2, 0, 1)


def images(case):
    """What diffusers makes of a case, by each of the ways in which it can open it."""
    # The folder says which pipeline: a student has its own.
    kind = DiffusionPipeline
    options = {"torch_dtype": torch.float32} | ({"safety_checker": None} if case["prompt"] else {})
    pipeline = kind.from_pretrained(case["model"], **options)
    if "lora" in case:
        pipeline.load_lora_weights(case["lora"])
    yield "the folder" if "lora" not in case else "the LoRA", call(pipeline, case["prompt"])
    if "embedding" in case:
        pipeline = kind.from_pretrained(case["base"], **options)
        pipeline.load_textual_inversion(case["embedding"])
        yield "the embedding", call(pipeline, case["prompt"])


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
