#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""tiny-ldm: images from noise in the latents of a VQModel. Can be run by itself; ``--report`` as in make_model_fixtures.py.

    venv/bin/python ldm_fixtures.py [--report]      # writes this folder alone, and names its runs in pipelines.json
"""

import argparse

from diffusers import LDMPipeline

import tiny_models as tiny
from fixture_tools import FIXTURES, configure_torch, fresh_folder
from grounding_fixtures import name_in
from network_goldens import require_clear_choice
from pipeline_runs import Runs, save, scheduler_of

FOLDER = "tiny-ldm"
# As in CompVis/ldm-celebahq-256.
SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "_diffusers_version": "0.1.1",
    "beta_end": 0.0195,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.0015,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "timestep_values": None,
    "trained_betas": None,
}


def make(out, report=False):
    path = fresh_folder(out / FOLDER)
    pipe = LDMPipeline(
        vqvae=tiny.vq_model(
            481,
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            scaling_factor=20.0,  # a random UNet ends at latents that are wide
        ),
        unet=tiny.unet2d(
            482,
            sample_size=16,
            in_channels=3,
            out_channels=3,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=8,
        ),
        scheduler=scheduler_of(SCHEDULER),
    )
    pipe = save(pipe, path, {"scheduler": SCHEDULER})
    runs = Runs(
        out,
        FOLDER,
        "cases",
        report,
        ["This pipeline passes no generator to scheduler.step: with eta > 0 its noise comes from torch's global generator. So eta is 0 here."],
    )

    def clear(latents):
        require_clear_choice(pipe.vqvae, latents[None] / pipe.vqvae.config.scaling_factor)

    runs.run("ddim", pipe, 271, num_inference_steps=5, eta=0.0, check=clear)
    runs.run("dpmpp_2m", pipe, 272, scheduler="DPMSolverMultistepScheduler", num_inference_steps=4, check=clear)
    return runs.write()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="also print how far a tiny change of the noise moves each picture")
    configure_torch()
    cases = make(FIXTURES, parser.parse_args().report)
    name_in(FIXTURES / "pipelines.json", "runs", cases, cases.__eq__)


if __name__ == "__main__":
    main()
