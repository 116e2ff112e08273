#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""tiny-latent-upscaler: the x2 latent upscaler. Can be run by itself; ``--report`` as in make_model_fixtures.py.

    venv/bin/python latent_upscale_fixtures.py [--report]      # writes this folder alone, and names its runs in pipelines.json
"""

import argparse

from diffusers import StableDiffusionLatentUpscalePipeline

import tiny_models as tiny
from fixture_tools import FIXTURES, configure_torch, fresh_folder
from grounding_fixtures import name_in
from pipeline_fixtures import NEGATIVE, PROMPT
from pipeline_runs import Runs, painting, save, scheduler_of, tokenizer_at

FOLDER = "tiny-latent-upscaler"
# As in stabilityai/sd-x2-latent-upscaler: keys of another class, and a prediction type by the name that this class alone knows.
SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "_diffusers_version": "0.13.0.dev0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "original_sample",
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "trained_betas": None,
}


def make(out, report=False):
    path = fresh_folder(out / FOLDER)
    pipe = StableDiffusionLatentUpscalePipeline(
        vae=tiny.autoencoder(471, channels=(8, 8, 16)),
        text_encoder=tiny.text_encoder(472),
        tokenizer=tokenizer_at(path / "tokenizer"),
        unet=tiny.unet(
            473,
            deviation=3.0,
            sample_size=16,
            in_channels=8,
            out_channels=5,
            block_out_channels=(32, 64, 64),
            down_block_types=("KDownBlock2D", "KCrossAttnDownBlock2D", "KCrossAttnDownBlock2D"),
            up_block_types=("KCrossAttnUpBlock2D", "KCrossAttnUpBlock2D", "KUpBlock2D"),
            mid_block_type=None,
            norm_num_groups=None,
            attention_head_dim=16,
            act_fn="gelu",
            conv_in_kernel=1,
            conv_out_kernel=1,
            time_embedding_type="fourier",
            time_cond_proj_dim=128 + 32,
            timestep_post_act="gelu",
        ),
        scheduler=scheduler_of(SCHEDULER),
    )
    pipe = save(pipe, path, {"scheduler": SCHEDULER}, {"tokenizer": "<|endoftext|>"})
    runs = Runs(out, FOLDER, "cases", report, ["The encoded image's sample is drawn first. The network is told log(sigma) / 4, and its last channel is left out."])
    picture, wide, margin = painting(32, 32, 1), painting(48, 32, 2), painting(35, 34, 3)
    runs.run("guided", pipe, 261, {"image": picture}, prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=5, guidance_scale=3.0)
    runs.run("without_a_text", pipe, 262, {"image": wide}, prompt=PROMPT, num_inference_steps=4, guidance_scale=0.0)
    runs.run("unguided_with_a_margin", pipe, 263, {"image": margin}, prompt=PROMPT, num_inference_steps=3, guidance_scale=1.0)
    runs.run("karras_sigmas", pipe, 264, {"image": picture}, None, {"use_karras_sigmas": True, "prediction_type": "sample"}, prompt=PROMPT, num_inference_steps=6)
    return runs.write()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="also print how far a tiny change of the noise moves each picture")
    configure_torch()
    cases = make(FIXTURES, parser.parse_args().report)
    name_in(FIXTURES / "pipelines.json", "runs", cases, cases.__eq__)
    print(cases)


if __name__ == "__main__":
    main()
