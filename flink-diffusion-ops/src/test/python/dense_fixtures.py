#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Runs of Marigold: how far away things are, and which way surfaces look.

    venv/bin/python dense_fixtures.py [--report]      # writes these folders and runs alone
"""

import argparse
from types import SimpleNamespace

from diffusers import MarigoldDepthPipeline, MarigoldNormalsPipeline

import tiny_models as tiny
from fixture_tools import FIXTURES, configure_torch, fresh_folder
from pipeline_runs import Runs, painting, save, scheduler_of, tokenizer_at

# As in prs-eth/marigold-depth-v1-1: no noise is left at the first step.
DDIM_SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "_diffusers_version": "0.32.0.dev0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "clip_sample_range": 1.0,
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "thresholding": False,
    "timestep_spacing": "trailing",
    "trained_betas": None,
}


class Dense:
    """Calls as those of pipelines that make pictures; normals are told as pictures' values, 0..1."""

    def __init__(self, pipe):
        self.pipe, self.scheduler = pipe, pipe.scheduler

    def __call__(self, **arguments):
        self.pipe.scheduler = self.scheduler
        prediction = self.pipe(**arguments).prediction
        return SimpleNamespace(images=prediction if prediction.shape[-1] == 1 else (prediction + 1) / 2)


def folder_of(out, name, cls, seed, **config):
    path = fresh_folder(out / name)
    pipe = cls(
        vae=tiny.autoencoder(seed, channels=(8, 8, 16)),
        text_encoder=tiny.text_encoder(seed + 1, act="gelu", projection=24),
        tokenizer=tokenizer_at(path / "tokenizer", "!"),
        unet=tiny.unet(seed + 2, in_channels=8, use_linear_projection=True),
        scheduler=scheduler_of(DDIM_SCHEDULER),
        default_denoising_steps=4,
        default_processing_resolution=32,
        **config,
    )
    return save(pipe, path, {"scheduler": DDIM_SCHEDULER}, {"tokenizer": "!"})


def make(out, report=False):
    cases = []
    notes = [
        "The image's latents come before the noisy ones. The context is the empty text's two tokens, not padded.",
        "The image is resized to the processing resolution, continued to multiples of 4, and the prediction resized back.",
    ]

    def runs_of(folder, pipe):
        runs = Runs(out, folder, "cases", report, notes)

        def run(case, seed, image, scheduler=None, overrides=None, **arguments):
            runs.run(case, Dense(pipe), seed, {"image": image}, scheduler, overrides, least_inside=0.5, **arguments)
            runs.manifest["cases"][-1]["pipeline"] = type(pipe).__name__

        return runs, run

    picture, wide, small = painting(64, 64, 1), painting(75, 45, 5), painting(24, 20, 6)

    folder = "tiny-marigold-depth"
    pipe = folder_of(out, folder, MarigoldDepthPipeline, 421, prediction_type="depth", scale_invariant=True, shift_invariant=True)
    runs, run = runs_of(folder, pipe)
    run("default", 201, picture)
    run("wide_with_a_margin", 202, wide, num_inference_steps=3, processing_resolution=36)
    run("enlarged_for_the_network", 203, small, num_inference_steps=2, processing_resolution=40)
    run("own_resolution_lcm", 204, wide, "LCMScheduler", {"timestep_spacing": "leading"}, num_inference_steps=3, processing_resolution=0)
    cases.append(runs.write())

    folder = "tiny-marigold-normals"
    pipe = folder_of(out, folder, MarigoldNormalsPipeline, 431, prediction_type="normals", use_full_z_range=False)
    runs, run = runs_of(folder, pipe)
    run("default", 211, picture)
    run("wide_with_a_margin", 212, wide, num_inference_steps=3, processing_resolution=36)
    cases.append(runs.write())
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="also print how far a tiny change of the noise moves each picture")
    configure_torch()
    print("\n".join(make(FIXTURES, parser.parse_args().report)))


if __name__ == "__main__":
    main()
