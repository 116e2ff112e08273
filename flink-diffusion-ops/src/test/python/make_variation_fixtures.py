#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/variation: what lies between two seeds and between two prompts.

slerp.json           interpolations of vectors by NumPy, as diffusers' community pipeline interpolate_stable_diffusion has them
variation.json       the arguments of each run
variation.safetensors  its picture (channels x height x width, 0..1) by diffusers, given latents and encodings that NumPy interpolated

Run: python make_variation_fixtures.py
"""

import numpy as np
import torch
from diffusers import DDIMScheduler, DiffusionPipeline

from fixture_tools import FIXTURES, configure_torch, seeded, write_json, write_tensors

TARGET = FIXTURES.parent / "variation"
STEPS = 4
RUNS = {
    "seeds": {"folder": "tiny-sd1", "variationSeed": 8, "variationStrength": 0.3},
    "prompts": {"folder": "tiny-sd1", "variationPrompt": "a blue dog by the sea", "variationPromptStrength": 0.6},
    "both": {
        "folder": "tiny-sd1",
        "variationSeed": 9,
        "variationStrength": 0.75,
        "variationPrompt": "a tree",
        "variationPromptStrength": 0.25,
    },
    "xl": {
        "folder": "tiny-sdxl",
        "variationSeed": 8,
        "variationStrength": 0.5,
        "variationPrompt": "a blue dog by the sea",
        "variationPromptStrength": 0.4,
    },
    "sd3": {"folder": "tiny-sd3", "variationSeed": 8, "variationStrength": 0.5},
}
PROMPT, NEGATIVE, SEED, GUIDANCE = "a red cat", "night", 7, 5.0


def slerp(share, a, b):
    """As one vector each; nearly parallel ones along a straight line."""
    a64, b64 = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    with np.errstate(invalid="ignore"):
        cosine = np.sum(a64 * b64 / (np.linalg.norm(a64) * np.linalg.norm(b64)))
    if not np.abs(cosine) <= 0.9995:
        return ((1 - share) * a64 + share * b64).reshape(a.shape).astype(np.float32)
    angle = np.arccos(cosine)
    rest, way = np.sin(angle - angle * share) / np.sin(angle), np.sin(angle * share) / np.sin(angle)
    return (rest * a64 + way * b64).reshape(a.shape).astype(np.float32)


def between(share, a, b):
    return torch.from_numpy(slerp(share, a.numpy(), b.numpy()))


def vectors():
    draws = np.random.default_rng(5)
    cases = []
    for share in (0.0, 0.1, 0.5, 0.77, 1.0):
        a, b = draws.standard_normal(9).astype(np.float32), draws.standard_normal(9).astype(np.float32)
        cases.append((share, a, b))
        cases.append((share, a, (2 * a + 1e-4 * b).astype(np.float32)))
        cases.append((share, a, -a))
        cases.append((share, a, np.zeros(9, np.float32)))
    return [
        {"share": share, "from": a.tolist(), "to": b.tolist(), "between": slerp(share, a, b).tolist()} for share, a, b in cases
    ]


def picture(run):
    pipe = DiffusionPipeline.from_pretrained(FIXTURES / run["folder"])
    pipe.set_progress_bar_config(disable=True)
    xl, sd3 = run["folder"] == "tiny-sdxl", run["folder"] == "tiny-sd3"
    if not sd3:
        pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    shape = (1, pipe.transformer.config.in_channels if sd3 else 4, 64 // pipe.vae_scale_factor, 64 // pipe.vae_scale_factor)
    latents = torch.randn(shape, generator=seeded(SEED))
    if "variationSeed" in run:
        latents = between(run["variationStrength"], latents, torch.randn(shape, generator=seeded(run["variationSeed"])))
    arguments = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "height": 64, "width": 64, "output_type": "pt"}
    if "variationPrompt" not in run:
        return pipe(PROMPT, negative_prompt=NEGATIVE, latents=latents, **arguments).images[0]
    share = run["variationPromptStrength"]

    def encoded(prompt):
        return pipe.encode_prompt(
            prompt, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True, negative_prompt=NEGATIVE
        )

    own, other = encoded(PROMPT), encoded(run["variationPrompt"])
    arguments |= {"prompt_embeds": between(share, own[0], other[0]), "negative_prompt_embeds": own[1]}
    if xl:
        arguments |= {"pooled_prompt_embeds": between(share, own[2], other[2]), "negative_pooled_prompt_embeds": own[3]}
    return pipe(latents=latents, **arguments).images[0]


def main():
    configure_torch()
    write_json(TARGET / "slerp.json", vectors())
    write_json(
        TARGET / "variation.json",
        {
            "prompt": PROMPT,
            "negativePrompt": NEGATIVE,
            "seed": SEED,
            "steps": STEPS,
            "guidanceScale": GUIDANCE,
            "runs": RUNS,
        },
    )
    write_tensors(TARGET / "variation.safetensors", {name: picture(run).float() for name, run in RUNS.items()})


if __name__ == "__main__":
    main()
