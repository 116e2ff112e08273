#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Runs of pipelines on folders that other programs here make: SDXL with pictures, LCM with pictures, inversion, a tiny autoencoder.

    venv/bin/python variant_fixtures.py [--report]      # writes these runs alone; the folders must be there
"""

import argparse
from types import SimpleNamespace

import torch
from diffusers import (
    AutoencoderTiny,
    DDIMInverseScheduler,
    LatentConsistencyModelImg2ImgPipeline,
    LatentConsistencyModelPipeline,
    LDMSuperResolutionPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from transformers import CLIPTextModelWithProjection

import tiny_models as tiny
from fixture_tools import FIXTURES, configure_torch, fresh_folder
from pipeline_fixtures import NEGATIVE, PROMPT, SDXL_SCHEDULER
from pipeline_runs import Runs, hole, painting, save, scheduler_of, tokenizer_at

SIZE = dict(height=64, width=64)


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


def load(cls, out, folder, **options):
    return quiet(cls.from_pretrained(out / folder, torch_dtype=torch.float32, **options))


def as_other(cls, pipe, **options):
    """Another pipeline of the same networks."""
    return quiet(cls(**pipe.components, **options))


class Inversion:
    """A picture is led back to noise by DDIMInverseScheduler, described by one text, and made again by DDIMScheduler, described by another."""

    def __init__(self, pipe):
        self.pipe, self.scheduler = pipe, pipe.scheduler

    def __call__(self, image, prompt, source_prompt, num_inference_steps, generator, output_type, negative_prompt="", guidance_scale=7.5, source_guidance_scale=1.0, strength=1.0):
        pipe, made = self.pipe, int(num_inference_steps * strength)
        inverse = DDIMInverseScheduler.from_config(self.scheduler.config)
        latents = pipe.vae.encode(pipe.image_processor.preprocess(image)).latent_dist.mode() * pipe.vae.config.scaling_factor
        inverse.set_timesteps(num_inference_steps)
        predict = self.predictor(source_prompt, negative_prompt, source_guidance_scale)
        for timestep in inverse.timesteps[:made]:
            latents = inverse.step(predict(latents, timestep), timestep, latents).prev_sample
        self.scheduler.set_timesteps(num_inference_steps)
        predict = self.predictor(prompt, negative_prompt, guidance_scale)
        for timestep in self.scheduler.timesteps[num_inference_steps - made :]:
            latents = self.scheduler.step(predict(latents, timestep), timestep, latents).prev_sample
        picture = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
        return SimpleNamespace(images=pipe.image_processor.postprocess(picture, output_type=output_type))

    def predictor(self, prompt, negative_prompt, guidance_scale):
        guided = guidance_scale > 1
        text, negative = self.pipe.encode_prompt(prompt, "cpu", 1, guided, negative_prompt)

        def predict(latents, timestep):
            if not guided:
                return self.pipe.unet(latents, timestep, text).sample
            nothing, everything = self.pipe.unet(torch.cat([latents] * 2), timestep, torch.cat([negative, text])).sample.chunk(2)
            return nothing + guidance_scale * (everything - nothing)

        return predict


def make(out, report=False):
    cases = []
    picture, other_picture, mask = painting(64, 64, 1), painting(96, 64, 2), hole(64, 64)

    # ---- SDXL: what else a request may say, and pictures
    runs = Runs(
        out,
        "tiny-sdxl",
        "variant_cases",
        report,
        [
            "Image to image draws the sample of the encoded picture, then noise; inpainting draws the sample of the masked picture after them.",
            "The turbo cases have the schedule of SDXL-Turbo: trailing timesteps and no guidance.",
        ],
    )
    text = load(StableDiffusionXLPipeline, out, "tiny-sdxl", add_watermarker=False)
    common = dict(prompt=PROMPT, guidance_scale=5.0)
    ancestral, trailing = "EulerAncestralDiscreteScheduler", {"timestep_spacing": "trailing"}
    runs.run("turbo_one_step", text, 121, {}, ancestral, trailing, prompt=PROMPT, guidance_scale=0.0, num_inference_steps=1, **SIZE)
    runs.run("turbo_three_steps", text, 122, {}, ancestral, trailing, prompt=PROMPT, guidance_scale=0.0, num_inference_steps=3, **SIZE)
    runs.run("guidance_rescale", text, 123, guidance_rescale=0.7, num_inference_steps=4, negative_prompt=NEGATIVE, **common, **SIZE)
    runs.run("clip_skip", text, 124, clip_skip=1, num_inference_steps=4, **common, **SIZE)
    runs.run("two_negative_prompts", text, 125, negative_prompt=NEGATIVE, negative_prompt_2="dark", num_inference_steps=4, **common, **SIZE)
    runs.run("negative_sizes", text, 126, original_size=(128, 96), negative_original_size=(32, 48), negative_crops_coords_top_left=(4, 2), negative_target_size=(64, 80), num_inference_steps=4, **common, **SIZE)
    runs.run("lcm_lora", text, 127, {}, "LCMScheduler", num_inference_steps=4, prompt=PROMPT, guidance_scale=1.0, **SIZE)
    pictures = as_other(StableDiffusionXLImg2ImgPipeline, text, add_watermarker=False)
    runs.run("img2img_euler", pictures, 131, {"image": picture}, strength=0.6, num_inference_steps=6, **common)
    runs.run("img2img_dpmpp_2m_wide", pictures, 132, {"image": other_picture}, "DPMSolverMultistepScheduler", strength=0.5, num_inference_steps=6, negative_prompt=NEGATIVE, **common)
    runs.run("img2img_default_strength", pictures, 133, {"image": picture}, "DDIMScheduler", num_inference_steps=8, crops_coords_top_left=(8, 4), original_size=(64, 64), target_size=(64, 64), **common)
    inpainting = as_other(StableDiffusionXLInpaintPipeline, text, add_watermarker=False)
    masked = {"image": picture, "mask_image": mask}
    runs.run("inpaint_default_strength", inpainting, 134, masked, num_inference_steps=5, **common, **SIZE)
    runs.run("inpaint_all_anew", inpainting, 135, masked, "DDIMScheduler", strength=1.0, num_inference_steps=4, **common, **SIZE)
    cases.append(runs.write())

    # ---- SDXL's refiner: the second text encoder alone, and a score for how good the picture shall look
    folder = "tiny-sdxl-refiner"
    path = fresh_folder(out / folder)
    pipe = StableDiffusionXLImg2ImgPipeline(
        vae=tiny.autoencoder(411, scaling_factor=0.13025, force_upcast=True),
        text_encoder=None,
        text_encoder_2=tiny.text_encoder(412, cls=CLIPTextModelWithProjection, hidden=48, layers=3, projection=40, act="gelu"),
        tokenizer=None,
        tokenizer_2=tokenizer_at(path / "tokenizer_2", "!"),
        unet=tiny.unet(
            413,
            cross_attention_dim=48,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=80,
        ),
        scheduler=scheduler_of(SDXL_SCHEDULER),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )
    pipe = save(pipe, path, {"scheduler": SDXL_SCHEDULER}, {"tokenizer_2": "!"}, {"add_watermarker": False})
    runs = Runs(out, folder, "cases", report, ["The single text encoder takes the prompt, not prompt_2. The two rows have aesthetic scores of their own."])
    runs.run("euler", pipe, 141, {"image": picture}, strength=0.6, num_inference_steps=6, **common)
    runs.run("scores", pipe, 142, {"image": picture}, strength=0.8, num_inference_steps=5, aesthetic_score=8.0, negative_aesthetic_score=1.5, negative_prompt=NEGATIVE, negative_original_size=(32, 48), **common)
    cases.append(runs.write())

    # ---- latent consistency, from a picture, and as a scheduler of an ordinary model
    runs = Runs(
        out,
        "tiny-lcm",
        "variant_cases",
        report,
        ["Strength shortens the distilled schedule, and all steps are made; other image-to-image pipelines leave out steps."],
    )
    lcm = load(LatentConsistencyModelPipeline, out, "tiny-lcm", safety_checker=None)
    pictures = as_other(LatentConsistencyModelImg2ImgPipeline, lcm, requires_safety_checker=False)
    runs.run("img2img", pictures, 151, {"image": picture}, prompt=PROMPT, strength=0.6, num_inference_steps=4, guidance_scale=8.0)
    runs.run("img2img_of_forty", pictures, 152, {"image": other_picture}, prompt=PROMPT, strength=0.8, num_inference_steps=3, original_inference_steps=40, guidance_scale=3.0)
    cases.append(runs.write())
    runs = Runs(out, "tiny-sd1", "lcm_cases", report)
    text = load(StableDiffusionPipeline, out, "tiny-sd1")
    runs.run("lcm_lora", text, 153, {}, "LCMScheduler", prompt=PROMPT, num_inference_steps=4, guidance_scale=1.5, **SIZE)
    pictures = as_other(StableDiffusionImg2ImgPipeline, text, requires_safety_checker=False)
    runs.run("lcm_lora_img2img", pictures, 154, {"image": picture}, "LCMScheduler", prompt=PROMPT, strength=0.5, num_inference_steps=6, guidance_scale=1.0)
    cases.append(runs.write())

    # ---- latent diffusion's super-resolution
    runs = Runs(out, "tiny-ldm-super-resolution", "variant_cases", report, ["A picture whose sides are no multiples of 32 is resized before all else (Lanczos)."])
    upscale = load(LDMSuperResolutionPipeline, out, "tiny-ldm-super-resolution")
    runs.run("euler_resized", upscale, 161, {"image": painting(75, 45, 7)}, "EulerDiscreteScheduler", num_inference_steps=4)
    cases.append(runs.write())

    # ---- inversion
    runs = Runs(
        out,
        "tiny-sd1",
        "inversion_cases",
        report,
        [
            "No pipeline of diffusers: DDIMInverseScheduler, then DDIMScheduler, as variant_fixtures.py calls them; `latents` are those of the second half.",
            "The picture is encoded to the mean; nothing is drawn.",
        ],
    )
    inversion = Inversion(text)

    def invert(case, calls, **arguments):
        # The folder's own scheduler is PNDM; run() puts DDIM in its place.
        runs.run(case, inversion, 171, {"image": picture}, "DDIMScheduler", **arguments)
        runs.manifest["cases"][-1].update({"pipeline": "StableDiffusionPipeline", "networkCalls": calls})

    source = dict(source_prompt="a painting of a disc")
    invert("reconstruction", 12, prompt="a painting of a disc", guidance_scale=1.0, num_inference_steps=6, **source)
    invert("edit", 10, prompt=PROMPT, negative_prompt=NEGATIVE, guidance_scale=3.0, num_inference_steps=5, **source)
    invert("edit_part", 8, prompt=PROMPT, guidance_scale=2.0, source_guidance_scale=1.5, strength=0.7, num_inference_steps=6, **source)
    cases.append(runs.write())

    # ---- a tiny autoencoder in place of the folder's own
    for folder, name, cls in (("tiny-sd1", "tiny_vae_cases", StableDiffusionPipeline), ("tiny-sdxl", "tiny_vae_cases", StableDiffusionXLPipeline)):
        vae = "networks/autoencoder-tiny"
        runs = Runs(out, folder, name, report, ["The folder's `vae` is the one that `components` names. It has no distribution: encoding draws nothing."])
        pipe = load(cls, out, folder, vae=AutoencoderTiny.from_pretrained(out / vae, torch_dtype=torch.float32))
        loose = dict(least_inside=0.1)
        runs.run("text", pipe, 181, {}, "DDIMScheduler", prompt=PROMPT, guidance_scale=3.0, num_inference_steps=4, **SIZE, **loose)
        image_class = StableDiffusionImg2ImgPipeline if cls is StableDiffusionPipeline else StableDiffusionXLImg2ImgPipeline
        options = dict(requires_safety_checker=False) if cls is StableDiffusionPipeline else dict(add_watermarker=False)
        pictures = as_other(image_class, pipe, **options)
        runs.run("img2img", pictures, 182, {"image": picture}, "EulerDiscreteScheduler", strength=0.6, prompt=PROMPT, guidance_scale=3.0, num_inference_steps=5, **loose)
        for case in runs.manifest["cases"]:
            case["components"] = {"vae": vae}
        cases.append(runs.write())
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="also print how far a tiny change of the noise moves each picture")
    configure_torch()
    print("\n".join(make(FIXTURES, parser.parse_args().report)))


if __name__ == "__main__":
    main()
