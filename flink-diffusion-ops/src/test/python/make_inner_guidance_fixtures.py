#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/inner-guidance: perturbed-attention guidance and FreeU.

runs.json              the arguments of each run, by diffusers' names
runs.safetensors       its picture (channels x height x width, 0..1) by diffusers; and image and mask that runs begin with

Run: python make_inner_guidance_fixtures.py
"""

import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPAGImg2ImgPipeline,
    StableDiffusionPAGInpaintPipeline,
    StableDiffusionPAGPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPAGImg2ImgPipeline,
    StableDiffusionXLPAGPipeline,
    StableDiffusionXLPipeline,
)

from fixture_tools import FIXTURES, configure_torch, seeded, write_json, write_tensors

TARGET = FIXTURES.parent / "inner-guidance"
SCHEDULERS = {each.__name__: each for each in (DDIMScheduler, EulerDiscreteScheduler)}
CLASSES = {
    each.__name__: each
    for each in (
        StableDiffusionImg2ImgPipeline,
        StableDiffusionPAGImg2ImgPipeline,
        StableDiffusionPAGInpaintPipeline,
        StableDiffusionPAGPipeline,
        StableDiffusionPipeline,
        StableDiffusionXLPAGImg2ImgPipeline,
        StableDiffusionXLPAGPipeline,
        StableDiffusionXLPipeline,
    )
}
FREEU = {"b1": 1.5, "b2": 1.6, "s1": 0.9, "s2": 0.2}
PAG, XL = "StableDiffusionPAGPipeline", "StableDiffusionXLPAGPipeline"


def run(folder, cls, scheduler="DDIMScheduler", layers=None, freeu=None, **arguments):
    return {"folder": folder, "class": cls, "scheduler": scheduler, "layers": layers, "freeu": freeu, "arguments": arguments}


RUNS = {
    "middle": run("tiny-sd1", PAG, layers=["mid"], pag_scale=3.0),
    "all": run("tiny-sd1", PAG, layers=["attn1"], pag_scale=2.0),
    "several": run("tiny-sd1", PAG, layers=["down_blocks.1", "up_blocks.2.attentions.1"], pag_scale=4.0),
    "adaptive": run("tiny-sd1", PAG, layers=["mid", "up"], pag_scale=3.0, pag_adaptive_scale=0.005),
    "without guidance": run("tiny-sd1", PAG, layers=["down"], pag_scale=3.0, guidance_scale=0.0),
    "rescaled": run("tiny-sd1", PAG, layers=["mid"], pag_scale=3.0, guidance_rescale=0.7),
    "v": run("tiny-sd2", PAG, layers=["mid", "down"], pag_scale=3.0),
    "euler": run("tiny-sd1", PAG, "EulerDiscreteScheduler", layers=["mid"], pag_scale=3.0, pag_adaptive_scale=0.002),
    "image": run("tiny-sd1", "StableDiffusionPAGImg2ImgPipeline", layers=["mid"], pag_scale=3.0, strength=0.75),
    "mask": run("tiny-sd1", "StableDiffusionPAGInpaintPipeline", layers=["mid"], pag_scale=3.0, strength=1.0),
    "xl": run("tiny-sdxl", XL, layers=["mid"], pag_scale=3.0),
    "xl adaptive": run("tiny-sdxl", XL, layers=["down", "up"], pag_scale=2.0, pag_adaptive_scale=0.001, guidance_rescale=0.3),
    "xl image": run("tiny-sdxl", "StableDiffusionXLPAGImg2ImgPipeline", layers=["mid"], pag_scale=3.0, strength=0.75),
    "free": run("tiny-sd1", "StableDiffusionPipeline", freeu=FREEU),
    "free v": run("tiny-sd2", "StableDiffusionPipeline", freeu={"b1": 1.1, "b2": 1.2, "s1": 0.5, "s2": 1.4}),
    "free wide": run("tiny-sd1", "StableDiffusionPipeline", freeu=FREEU, width=104, height=72),
    "free image": run("tiny-sd1", "StableDiffusionImg2ImgPipeline", freeu=FREEU, strength=0.75),
    "free xl": run("tiny-sdxl", "StableDiffusionXLPipeline", freeu=FREEU, width=96, height=160),
    "both": run("tiny-sd1", PAG, layers=["mid"], pag_scale=3.0, freeu=FREEU),
}


def picture(case, image, mask):
    options = {"pag_applied_layers": case["layers"]} if case["layers"] else {}
    pipe = CLASSES[case["class"]].from_pretrained(FIXTURES / case["folder"], **options)
    pipe.scheduler = SCHEDULERS[case["scheduler"]].from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    if case["freeu"]:
        pipe.enable_freeu(**case["freeu"])
    arguments = {"guidance_scale": 5.0, "num_inference_steps": 4} | case["arguments"]
    if "Img2Img" in case["class"] or "Inpaint" in case["class"]:
        arguments["image"] = image
    if "Inpaint" in case["class"]:
        arguments["mask_image"] = mask
    if "image" not in arguments or "mask_image" in arguments:
        arguments = {"width": 64, "height": 64} | arguments
    return pipe("a red cat", negative_prompt="night", generator=seeded(7), output_type="pt", **arguments).images[0]


def main():
    configure_torch()
    image = torch.rand(1, 3, 64, 64, generator=seeded(1))
    mask = torch.zeros(1, 1, 64, 64)
    mask[:, :, 16:48, 24:64] = 1
    write_json(TARGET / "runs.json", RUNS)
    tensors = {name: picture(case, image, mask).float() for name, case in RUNS.items()}
    write_tensors(TARGET / "runs.safetensors", tensors | {"given image": image[0], "given mask": mask[0]})


if __name__ == "__main__":
    main()
