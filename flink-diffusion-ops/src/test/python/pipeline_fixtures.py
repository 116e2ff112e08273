#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Whole runs of every other pipeline: their folders, what they were asked, what they drew from the generator and in which order, and the pictures."""


import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DiTPipeline,
    LatentConsistencyModelPipeline,
    LDMSuperResolutionPipeline,
    StableDiffusionImageVariationPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionUpscalePipeline,
    StableDiffusionXLPipeline,
)
from transformers import CLIPImageProcessor, CLIPTextModelWithProjection

import tiny_models as tiny
from fixture_tools import drop_config_keys, fresh_folder, rewrite_weights, write_json
from network_fixtures import old_attention_names
from network_goldens import make_goldens, require_clear_choice
from text_to_image_fixtures import SD1_SCHEDULER, SD2_SCHEDULER
from pipeline_runs import Runs, hole, painting, save, scheduler_of, tokenizer_at

INSTRUCT_SCHEDULER = {
    "_class_name": "EulerAncestralDiscreteScheduler",
    "_diffusers_version": "0.12.0.dev0",
    "algorithm_type": "dpmsolver++",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "dynamic_thresholding_ratio": 0.995,
    "lower_order_final": True,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "sample_max_value": 1.0,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "solver_order": 2,
    "solver_type": "midpoint",
    "steps_offset": 1,
    "thresholding": False,
    "trained_betas": None,
}
SDXL_SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "_diffusers_version": "0.19.0.dev0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "sample_max_value": 1.0,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "trained_betas": None,
    "use_karras_sigmas": False,
}
LCM_SCHEDULER = {
    "_class_name": "LCMScheduler",
    "_diffusers_version": "0.23.0.dev0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "clip_sample_range": 1.0,
    "dynamic_thresholding_ratio": 0.995,
    "num_train_timesteps": 1000,
    "original_inference_steps": 50,
    "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False,
    "sample_max_value": 1.0,
    "set_alpha_to_one": True,
    "steps_offset": 0,
    "thresholding": False,
    "timestep_scaling": 10.0,
    "timestep_spacing": "leading",
    "trained_betas": None,
}
LOW_RES_SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.8.0",
    "beta_end": 0.02,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.0001,
    "clip_sample": True,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "trained_betas": None,
    "variance_type": "fixed_small",
}
LDM_SR_SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "_diffusers_version": "0.4.1",
    "beta_end": 0.0155,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.0015,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "steps_offset": 0,
    "trained_betas": None,
}
DDPM_SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.1.1",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "clip_sample": True,
    "num_train_timesteps": 1000,
    "trained_betas": None,
    "variance_type": "fixed_small",
}
DIT_SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "_diffusers_version": "0.12.0.dev0",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "set_alpha_to_one": True,
    "steps_offset": 0,
    "trained_betas": None,
}

# SD 1.5's inpainting UNet: the keys that its config.json has.
OLD_UNET_KEYS = (
    "act_fn attention_head_dim block_out_channels center_input_sample cross_attention_dim down_block_types downsample_padding flip_sin_to_cos "
    "freq_shift in_channels layers_per_block mid_block_scale_factor norm_eps norm_num_groups out_channels sample_size up_block_types"
).split()
OLD_VAE_KEYS = (
    "act_fn block_out_channels down_block_types in_channels latent_channels layers_per_block norm_num_groups out_channels sample_size up_block_types"
).split()


PROMPT = "a red apple on a blue background"
NEGATIVE = "blurry, low quality"


def option_runs(out, picture, report=False):
    """What a call may ask beyond the usual: skipped layers of the text encoder, its own timesteps or sigmas."""
    runs = Runs(out, "tiny-sd1", "option_cases", report)
    pipe = StableDiffusionPipeline.from_pretrained(out / "tiny-sd1", torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    let_layers_be_skipped(pipe.text_encoder)
    common = dict(prompt=PROMPT, guidance_scale=5.0)
    steps = dict(num_inference_steps=4)
    runs.run("clip_skip_0", pipe, 81, clip_skip=0, **steps, **common)
    runs.run("clip_skip_1", pipe, 82, clip_skip=1, negative_prompt=NEGATIVE, **steps, **common)
    runs.run("clip_skip_all", pipe, 83, None, "EulerDiscreteScheduler", clip_skip=2, **steps, **common)
    runs.run("timesteps_euler", pipe, 84, None, "EulerDiscreteScheduler", timesteps=[999, 700, 420, 130, 11], **common)
    runs.run("timesteps_dpmpp_2m", pipe, 85, None, "DPMSolverMultistepScheduler", timesteps=[999, 845, 606, 353, 142], **common)
    runs.run("timesteps_ddpm", pipe, 86, None, "DDPMScheduler", timesteps=[901, 500, 100, 0], **common)
    runs.run("sigmas_euler", pipe, 87, None, "EulerDiscreteScheduler", sigmas=[14.6, 5.9, 2.7, 0.9, 0.0], **common)
    pipe = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    runs.run("img2img_clip_skip", pipe, 88, {"image": picture}, clip_skip=1, strength=0.75, **steps, **common)
    runs.run("img2img_timesteps", pipe, 89, {"image": picture}, "EulerDiscreteScheduler", strength=0.6, timesteps=[950, 700, 420, 130, 11], **common)
    return runs.write()


def let_layers_be_skipped(text_encoder):
    """diffusers 0.42 looks for the final norm under a name that transformers 5 no longer has."""
    if not hasattr(text_encoder, "text_model"):
        object.__setattr__(text_encoder, "text_model", text_encoder)


def make(out, report=False):
    networks, cases = [], []

    def goldens(folder, pipe, *components, notes=None):
        for component in components:
            networks.append(make_goldens(out, folder, component, getattr(pipe, component), getattr(pipe, "tokenizer", None), notes, report))

    unsafe = dict(safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    picture, other_picture, mask = painting(64, 64, 1), painting(96, 64, 2), hole(64, 64)

    # ---- pipelines that run on tiny-sd1 itself
    folder = "tiny-sd1"
    runs = Runs(out, folder, "image_cases", report)
    pipe = StableDiffusionImg2ImgPipeline.from_pretrained(out / folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    common = dict(prompt=PROMPT, guidance_scale=5.0)
    runs.run("img2img_ddim", pipe, 21, {"image": picture}, "DDIMScheduler", strength=0.6, num_inference_steps=6, **common)
    runs.run("img2img_pndm", pipe, 22, {"image": picture}, strength=0.75, num_inference_steps=8, negative_prompt=NEGATIVE, **common)
    runs.run("img2img_euler_wide", pipe, 23, {"image": other_picture}, "EulerDiscreteScheduler", strength=0.5, num_inference_steps=6, **common)
    runs.run("img2img_euler_ancestral", pipe, 24, {"image": picture}, "EulerAncestralDiscreteScheduler", strength=0.8, num_inference_steps=5, **common)
    runs.run("img2img_dpmpp_2m", pipe, 25, {"image": picture}, "DPMSolverMultistepScheduler", strength=1.0, num_inference_steps=4, prompt=PROMPT, guidance_scale=1.0)
    pipe = StableDiffusionInpaintPipeline(**pipe.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    size = dict(height=64, width=64)
    runs.run("inpaint_4_channels", pipe, 26, {"image": picture, "mask_image": mask}, "DDIMScheduler", strength=1.0, num_inference_steps=4, **size, **common)
    runs.run("inpaint_4_channels_part", pipe, 27, {"image": picture, "mask_image": mask}, "EulerDiscreteScheduler", strength=0.6, num_inference_steps=6, **size, **common)
    cases.append(runs.write())

    cases.append(option_runs(out, picture, report))

    # ---- inpainting with a 9-channel UNet, in the old folder style
    folder = "tiny-inpaint"
    path = fresh_folder(out / folder)
    pipe = StableDiffusionInpaintPipeline(
        vae=tiny.autoencoder(301),
        text_encoder=tiny.text_encoder(302),
        tokenizer=tokenizer_at(path / "tokenizer"),
        unet=tiny.unet(303, in_channels=9),
        scheduler=scheduler_of(SD1_SCHEDULER),
        **unsafe,
    )
    save(pipe, path, {"scheduler": SD1_SCHEDULER}, {"tokenizer": "<|endoftext|>"})
    drop_config_keys(path / "unet" / "config.json", OLD_UNET_KEYS, {"_name_or_path": "somewhere/unet", "power": 0.75})
    drop_config_keys(path / "vae" / "config.json", OLD_VAE_KEYS, {})
    rewrite_weights(path / "vae" / "diffusion_pytorch_model.safetensors", rename=old_attention_names)
    pipe = StableDiffusionInpaintPipeline.from_pretrained(path, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    goldens(folder, pipe, "unet", notes="9 channels: latents, mask, latents of the masked picture; config.json as old files have it")
    runs = Runs(out, folder, "cases", report)
    runs.run("pndm", pipe, 31, {"image": picture, "mask_image": mask}, strength=1.0, num_inference_steps=5, **size, **common)
    runs.run("ddim_part", pipe, 32, {"image": picture, "mask_image": mask}, "DDIMScheduler", strength=0.7, num_inference_steps=6, negative_prompt=NEGATIVE, **size, **common)
    cases.append(runs.write())

    # ---- InstructPix2Pix
    folder = "tiny-instruct-pix2pix"
    path = fresh_folder(out / folder)
    pipe = StableDiffusionInstructPix2PixPipeline(
        vae=tiny.autoencoder(311),
        text_encoder=tiny.text_encoder(312),
        tokenizer=tokenizer_at(path / "tokenizer"),
        unet=tiny.unet(313, in_channels=8),
        scheduler=scheduler_of(INSTRUCT_SCHEDULER),
        **unsafe,
    )
    pipe = save(pipe, path, {"scheduler": INSTRUCT_SCHEDULER}, {"tokenizer": "<|endoftext|>"})
    goldens(folder, pipe, "unet", notes="8 channels: latents, latents of the picture (not scaled)")
    runs = Runs(out, folder, "cases", report)
    edit = dict(prompt="turn the apple into a moon")
    runs.run("euler_ancestral", pipe, 41, {"image": picture}, num_inference_steps=6, guidance_scale=7.5, image_guidance_scale=1.5, **edit)
    runs.run("ddim_wide", pipe, 42, {"image": other_picture}, "DDIMScheduler", num_inference_steps=5, guidance_scale=4.0, image_guidance_scale=1.2, negative_prompt=NEGATIVE, **edit)
    runs.run("euler_without_guidance", pipe, 43, {"image": picture}, "EulerDiscreteScheduler", num_inference_steps=4, guidance_scale=1.0, image_guidance_scale=1.5, **edit)
    cases.append(runs.write())

    # ---- x4 upscaler
    folder = "tiny-x4-upscaler"
    path = fresh_folder(out / folder)
    pipe = StableDiffusionUpscalePipeline(
        vae=tiny.autoencoder(321, channels=(8, 8, 16), scaling_factor=0.08333),
        text_encoder=tiny.text_encoder(322, act="gelu", layers=3, projection=24),
        tokenizer=tokenizer_at(path / "tokenizer", "!"),
        unet=tiny.unet(
            323,
            deviation=0.5,
            in_channels=7,
            sample_size=16,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            only_cross_attention=[True, True, False],
            num_class_embeds=1000,
            use_linear_projection=True,
        ),
        low_res_scheduler=scheduler_of(LOW_RES_SCHEDULER),
        scheduler=scheduler_of(SD2_SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        max_noise_level=350,
    )
    pipe = save(pipe, path, {"scheduler": SD2_SCHEDULER, "low_res_scheduler": LOW_RES_SCHEDULER}, {"tokenizer": "!"})
    goldens(folder, pipe, "unet", notes="7 channels: latents, noised picture; the noise level is the class; two levels without self attention")
    runs = Runs(out, folder, "cases", report)
    small, small_wide = painting(16, 16, 3), painting(24, 16, 4)
    runs.run("ddim", pipe, 51, {"image": small}, prompt=PROMPT, num_inference_steps=5, guidance_scale=5.0, noise_level=20)
    runs.run("ddim_wide_noisy", pipe, 52, {"image": small_wide}, prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=4, guidance_scale=3.0, noise_level=300)
    runs.run("euler_without_guidance", pipe, 53, {"image": small}, "EulerDiscreteScheduler", prompt="", num_inference_steps=4, guidance_scale=1.0, noise_level=0)
    cases.append(runs.write())

    # ---- LDM super-resolution
    folder = "tiny-ldm-super-resolution"
    path = fresh_folder(out / folder)
    pipe = LDMSuperResolutionPipeline(
        vqvae=tiny.vq_model(331, block_out_channels=(8, 8, 16)),
        unet=tiny.unet2d(
            332,
            in_channels=6,
            out_channels=3,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=8,
        ),
        scheduler=scheduler_of(LDM_SR_SCHEDULER),
    )
    pipe = save(pipe, path, {"scheduler": LDM_SR_SCHEDULER})
    goldens(folder, pipe, "unet", "vqvae")
    runs = Runs(
        out,
        folder,
        "cases",
        report,
        [
            "This pipeline passes no generator to scheduler.step: with eta > 0 its noise comes from torch's global generator. So eta is 0 here.",
            "The decoder picks the nearest codebook entry; in these cases no two entries are equally near.",
        ],
    )
    low = painting(32, 32, 5)

    def clear(latents):
        require_clear_choice(pipe.vqvae, latents[None])

    runs.run("ddim", pipe, 61, {"image": low}, num_inference_steps=5, eta=0.0, check=clear)
    cases.append(runs.write())

    # ---- unconditional, in pixels
    folder = "tiny-ddpm"
    path = fresh_folder(out / folder)
    pipe = DDPMPipeline(
        unet=tiny.unet2d(
            341,
            sample_size=16,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=None,
            downsample_padding=0,
            flip_sin_to_cos=False,
            freq_shift=1,
            norm_eps=1e-6,
            layers_per_block=2,
        ),
        scheduler=scheduler_of(DDPM_SCHEDULER),
    )
    pipe = save(pipe, path, {"scheduler": DDPM_SCHEDULER})
    goldens(folder, pipe, "unet")
    runs = Runs(
        out,
        folder,
        "cases",
        report,
        ["With clip_sample and a random network many values end exactly at 0 or 1: compare latents as well, they are the samples before the last clipping to 0..1."],
    )
    loose = 0.2
    runs.run("ddpm", pipe, 71, num_inference_steps=6, least_inside=loose)
    runs.run("ddpm_fixed_large", pipe, 72, overrides={"variance_type": "fixed_large"}, num_inference_steps=5, least_inside=loose)
    runs.run("ddpm_sample_prediction", pipe, 73, overrides={"prediction_type": "sample"}, num_inference_steps=5)
    runs.run("ddpm_no_clipping_v", pipe, 74, overrides={"prediction_type": "v_prediction", "clip_sample": False}, num_inference_steps=5, least_inside=loose)
    ddim = DDIMPipeline(unet=pipe.unet, scheduler=DDIMScheduler.from_config(pipe.scheduler.config))
    ddim.set_progress_bar_config(disable=True)
    runs.run("ddim", ddim, 75, num_inference_steps=6, eta=0.0, least_inside=loose)
    runs.run("ddim_eta_1", ddim, 76, overrides={"prediction_type": "sample"}, num_inference_steps=6, eta=1.0)
    runs.run("ddim_eta_half_clipped_output", ddim, 77, num_inference_steps=6, eta=0.5, use_clipped_model_output=True, least_inside=loose)
    cases.append(runs.write())

    # ---- class conditional
    folder = "tiny-dit"
    path = fresh_folder(out / folder)
    pipe = DiTPipeline(transformer=tiny.dit(351), vae=tiny.autoencoder(352), scheduler=scheduler_of(DIT_SCHEDULER))
    pipe = save(pipe, path, {"scheduler": DIT_SCHEDULER})
    runs = Runs(out, folder, "cases", report, ["latents hold the conditional row. This pipeline passes no generator to scheduler.step: schedulers that draw noise are not repeatable in it."])
    runs.run("ddim", pipe, 81, class_labels=[207], num_inference_steps=6, guidance_scale=4.0)
    runs.run("dpmpp_2m", pipe, 82, scheduler="DPMSolverMultistepScheduler", class_labels=[3], num_inference_steps=5, guidance_scale=2.0)
    runs.run("ddim_without_guidance", pipe, 83, class_labels=[999], num_inference_steps=4, guidance_scale=1.0)
    cases.append(runs.write())

    # ---- SDXL
    folder = "tiny-sdxl"
    path = fresh_folder(out / folder)
    pipe = StableDiffusionXLPipeline(
        vae=tiny.autoencoder(361, scaling_factor=0.13025, force_upcast=True),
        text_encoder=tiny.text_encoder(362),
        text_encoder_2=tiny.text_encoder(363, cls=CLIPTextModelWithProjection, hidden=48, layers=3, projection=40, act="gelu"),
        tokenizer=tokenizer_at(path / "tokenizer"),
        tokenizer_2=tokenizer_at(path / "tokenizer_2", "!"),
        unet=tiny.unet(
            364,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=[1, 1, 2],
            attention_head_dim=[2, 4, 8],
            cross_attention_dim=80,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=88,
        ),
        scheduler=scheduler_of(SDXL_SCHEDULER),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )
    pipe = save(pipe, path, {"scheduler": SDXL_SCHEDULER}, {"tokenizer": "<|endoftext|>", "tokenizer_2": "!"}, {"add_watermarker": False})
    goldens(folder, pipe, "unet", notes="time_ids: original height, width, crop top, left, target height, width; text_embeds: pooled and projected")
    runs = Runs(out, folder, "cases", report, ["Without a negative prompt the unconditional embeddings are zeros (force_zeros_for_empty_prompt); with an empty one they are those of the empty text."])
    runs.run("euler_zero_negative", pipe, 91, prompt=PROMPT, num_inference_steps=5, guidance_scale=5.0, **size)
    runs.run("euler_empty_negative", pipe, 92, prompt=PROMPT, negative_prompt="", num_inference_steps=5, guidance_scale=5.0, **size)
    runs.run("ddim_two_prompts_sizes", pipe, 93, scheduler="DDIMScheduler", prompt=PROMPT, prompt_2="oil painting, warm", negative_prompt=NEGATIVE, num_inference_steps=4, guidance_scale=3.0, height=64, width=96, original_size=[512, 384], crops_coords_top_left=[16, 8], target_size=[640, 480])
    runs.run("dpmpp_2m_without_guidance", pipe, 94, scheduler="DPMSolverMultistepScheduler", prompt=PROMPT, num_inference_steps=4, guidance_scale=1.0, **size)
    cases.append(runs.write())

    # ---- latent consistency
    folder = "tiny-lcm"
    path = fresh_folder(out / folder)
    pipe = LatentConsistencyModelPipeline(
        vae=tiny.autoencoder(371),
        text_encoder=tiny.text_encoder(372),
        tokenizer=tokenizer_at(path / "tokenizer"),
        unet=tiny.unet(373, time_cond_proj_dim=16),
        scheduler=scheduler_of(LCM_SCHEDULER),
        **unsafe,
    )
    pipe = save(pipe, path, {"scheduler": LCM_SCHEDULER}, {"tokenizer": "<|endoftext|>"})
    goldens(folder, pipe, "unet", notes="timestep_cond is the embedded guidance scale")
    runs = Runs(out, folder, "cases", report, ["Guidance is an input of the network (timestep_cond embeds guidance_scale - 1), there is no second row."])
    runs.run("four_steps", pipe, 101, prompt=PROMPT, num_inference_steps=4, guidance_scale=8.5, **size)
    runs.run("one_step", pipe, 102, prompt=PROMPT, num_inference_steps=1, guidance_scale=4.0, **size)
    runs.run("eight_steps_of_forty", pipe, 103, prompt=PROMPT, num_inference_steps=8, original_inference_steps=40, guidance_scale=2.0, **size)
    cases.append(runs.write())

    # ---- image variation
    folder = "tiny-image-variation"
    path = fresh_folder(out / folder)
    pipe = StableDiffusionImageVariationPipeline(
        vae=tiny.autoencoder(381),
        image_encoder=tiny.vision_encoder(382),
        unet=tiny.unet(383),
        scheduler=scheduler_of(SD1_SCHEDULER),
        safety_checker=None,
        feature_extractor=CLIPImageProcessor(crop_size=32, size=32),
        requires_safety_checker=False,
    )
    pipe = save(pipe, path, {"scheduler": SD1_SCHEDULER})
    index = path / "model_index.json"
    index.write_text(index.read_text().replace("CLIPImageProcessorPil", "CLIPImageProcessor"))  # its name where torchvision is installed
    write_json(
        path / "feature_extractor" / "preprocessor_config.json",
        {
            "crop_size": 32,
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_resize": True,
            "feature_extractor_type": "CLIPFeatureExtractor",
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711],
            "resample": 3,
            "size": 32,
        },
    )
    goldens(folder, pipe, "image_encoder")
    runs = Runs(out, folder, "cases", report, ["pixel_values is what the image encoder gets, resized, cropped and normalised. The context is image_embeds as one token; unconditional is zeros."])
    fitting = painting(32, 32, 5)
    runs.run("pndm", pipe, 111, {"image": fitting}, num_inference_steps=6, guidance_scale=5.0, **size)
    photo = painting(72, 50, 6)
    prepared = pipe.feature_extractor(images=photo, return_tensors="pt").pixel_values
    runs.run("pndm_from_picture", pipe, 113, {"image": photo}, num_inference_steps=4, guidance_scale=3.0, extra={"pixel_values": prepared}, **size)
    runs.run("euler_without_guidance", pipe, 112, {"image": fitting}, "EulerDiscreteScheduler", num_inference_steps=4, guidance_scale=1.0, **size)
    cases.append(runs.write())
    return networks, cases
