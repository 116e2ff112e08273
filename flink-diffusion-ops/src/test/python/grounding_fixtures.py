#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""tiny-gligen: phrases in boxes. Can be run by itself; ``--report`` as in make_model_fixtures.py.

    venv/bin/python grounding_fixtures.py [--report]      # writes this folder alone, and names it in the lists of networks and runs

diffusers keeps StableDiffusionGLIGENPipeline among its deprecated pipelines; it still runs it.
"""

import argparse
import json

from diffusers import StableDiffusionGLIGENPipeline

import tiny_models as tiny
from fixture_tools import FIXTURES, configure_torch, fresh_folder, write_json
from network_goldens import make_goldens
from pipeline_fixtures import NEGATIVE, PROMPT, let_layers_be_skipped
from pipeline_runs import Runs, save, scheduler_of, tokenizer_at
from text_to_image_fixtures import SD1_SCHEDULER

APPLE = {"phrase": "a red apple", "box": [0.1, 0.15, 0.45, 0.6]}
BIRD = {"phrase": "a tiny golden bird; asleep", "box": [0.5, 0.0, 1.0, 0.75]}
BACKGROUND = {"phrase": "", "box": [0.0, 0.0, 1.0, 1.0]}
FOLDER = "tiny-gligen"


class Grounded(StableDiffusionGLIGENPipeline):
    """Takes phrases and boxes as one list, as a request here says them."""

    def __call__(self, gligen_objects, **arguments):
        objects = json.loads(gligen_objects)
        return super().__call__(gligen_phrases=[each["phrase"] for each in objects], gligen_boxes=[each["box"] for each in objects], **arguments)


def make(out, report=False):
    path = fresh_folder(out / FOLDER)
    pipe = StableDiffusionGLIGENPipeline(
        vae=tiny.autoencoder(461, channels=(8, 8, 16)),
        text_encoder=tiny.text_encoder(462),
        tokenizer=tokenizer_at(path / "tokenizer"),
        unet=tiny.unet(463, attention_type="gated"),
        scheduler=scheduler_of(SD1_SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe = save(pipe, path, {"scheduler": SD1_SCHEDULER}, {"tokenizer": "<|endoftext|>"})
    network = make_goldens(out, FOLDER, "unet", pipe.unet, None, "objects in boxes, another number in each row; the second row does not see them", report)
    let_layers_be_skipped(pipe.text_encoder)
    pipe = Grounded(**pipe.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    runs = Runs(out, FOLDER, "cases", report, ["gligen_objects is gligen_phrases and gligen_boxes. They are seen in the first int(gligen_scheduled_sampling_beta x calls) calls; 30 places, those of the unconditional row empty."])

    def run(case, seed, objects, scheduler=None, **arguments):
        common = {"prompt": PROMPT, "height": 32, "width": 32, "num_inference_steps": 5, **arguments}
        runs.run(case, pipe, seed, None, scheduler, gligen_objects=json.dumps(objects), **common)
        runs.manifest["cases"][-1]["pipeline"] = StableDiffusionGLIGENPipeline.__name__

    run("two_objects", 251, [APPLE, BIRD], gligen_scheduled_sampling_beta=0.7, negative_prompt=NEGATIVE)
    run("default_share_of_calls", 252, [BACKGROUND, BIRD, APPLE], "EulerDiscreteScheduler", num_inference_steps=7)
    run("all_calls_without_guidance", 253, [APPLE], "DDIMScheduler", gligen_scheduled_sampling_beta=1.0, guidance_scale=1.0, eta=0.5, clip_skip=1, width=48)
    run("no_call", 254, [APPLE], gligen_scheduled_sampling_beta=0.1)
    run("thirty_objects", 255, [APPLE, BIRD, BACKGROUND] * 10, "DPMSolverMultistepScheduler", gligen_scheduled_sampling_beta=0.6)
    return network, runs.write()


def name_in(path, key, entry, same):
    index = json.loads(path.read_text())
    index[key] = [each for each in index[key] if not same(each)] + [entry]
    write_json(path, index)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="also print how far a tiny change of the noise moves each picture")
    configure_torch()
    network, cases = make(FIXTURES, parser.parse_args().report)
    name_in(FIXTURES / "networks-family.json", "networks", network, lambda each: each["name"] == network["name"])
    name_in(FIXTURES / "pipelines.json", "runs", cases, cases.__eq__)
    print(cases)


if __name__ == "__main__":
    main()
