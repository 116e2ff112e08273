#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Small folders of every pipeline class, which cases change: configs as plain dictionaries, with the keys that published files have."""

import copy
import json

from folder_cases import Case

PROMPT, NEGATIVE = "a red apple on a table", "dark"
UNET = {
    "_class_name": "UNet2DConditionModel",
    "act_fn": "silu",
    "attention_head_dim": 2,
    "block_out_channels": [8, 16],
    "cross_attention_dim": 16,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "in_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "out_channels": 4,
    "sample_size": 8,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
}
UNET2D = {
    "_class_name": "UNet2DModel",
    "act_fn": "silu",
    "attention_head_dim": 4,
    "block_out_channels": [8, 16],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "in_channels": 3,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "out_channels": 3,
    "sample_size": 16,
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
}
# K blocks, whose groups are of 32 channels; told the text's pooled end beside 128 numbers of a noise level.
DOUBLING = {
    "_class_name": "UNet2DConditionModel",
    "act_fn": "gelu",
    "attention_head_dim": 16,
    "block_out_channels": [32, 64, 64],
    "conv_in_kernel": 1,
    "conv_out_kernel": 1,
    "cross_attention_dim": 16,
    "down_block_types": ["KDownBlock2D", "KCrossAttnDownBlock2D", "KCrossAttnDownBlock2D"],
    "in_channels": 8,
    "layers_per_block": 1,
    "mid_block_type": None,
    "norm_num_groups": None,
    "only_cross_attention": False,
    "out_channels": 5,
    "sample_size": 16,
    "time_cond_proj_dim": 128 + 16,
    "time_embedding_type": "fourier",
    "timestep_post_act": "gelu",
    "up_block_types": ["KCrossAttnUpBlock2D", "KCrossAttnUpBlock2D", "KUpBlock2D"],
}
CONTROL = {
    "_class_name": "ControlNetModel",
    "attention_head_dim": 2,
    "block_out_channels": [8, 16],
    "conditioning_embedding_out_channels": [8, 12],
    "cross_attention_dim": 16,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "in_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
VAE = {
    "_class_name": "AutoencoderKL",
    "act_fn": "silu",
    "block_out_channels": [8, 8],
    "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"],
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "out_channels": 3,
    "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"],
}
VQ = {
    "_class_name": "VQModel",
    "act_fn": "silu",
    "block_out_channels": [8, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "in_channels": 3,
    "latent_channels": 3,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "num_vq_embeddings": 16,
    "out_channels": 3,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
}
TEXT = {
    "architectures": ["CLIPTextModel"],
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "quick_gelu",
    "hidden_size": 16,
    "intermediate_size": 32,
    "max_position_embeddings": 77,
    "model_type": "clip_text_model",
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "pad_token_id": 1,
    "projection_dim": 16,
    "vocab_size": 934,
}
VISION = {
    "architectures": ["CLIPVisionModelWithProjection"],
    "hidden_act": "quick_gelu",
    "hidden_size": 16,
    "image_size": 32,
    "intermediate_size": 32,
    "model_type": "clip_vision_model",
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "patch_size": 8,
    "projection_dim": 16,
}
DIT = {
    "_class_name": "DiTTransformer2DModel",
    "attention_head_dim": 8,
    "in_channels": 4,
    "norm_num_groups": 4,
    "num_attention_heads": 2,
    "num_embeds_ada_norm": 1000,
    "num_layers": 2,
    "out_channels": 8,
    "patch_size": 2,
    "sample_size": 8,
}
PROCESSOR = {"crop_size": 32, "do_center_crop": True, "do_normalize": True, "do_resize": True, "feature_extractor_type": "CLIPFeatureExtractor", "resample": 3, "size": 32}
SD = {"beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000}
DDIM = {"_class_name": "DDIMScheduler", **SD, "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
EULER = {"_class_name": "EulerDiscreteScheduler", **SD, "steps_offset": 1, "timestep_spacing": "leading", "prediction_type": "epsilon"}
CLEAN = {"_class_name": "EulerDiscreteScheduler", **SD, "clip_sample": False, "interpolation_type": "linear", "prediction_type": "original_sample", "set_alpha_to_one": False, "steps_offset": 1}
LCM = {"_class_name": "LCMScheduler", **SD, "clip_sample": False, "original_inference_steps": 50}
DDPM = {"_class_name": "DDPMScheduler", "beta_end": 0.02, "beta_schedule": "linear", "beta_start": 0.0001, "clip_sample": True, "num_train_timesteps": 1000, "variance_type": "fixed_small"}
LOW_RES = {**DDPM, "beta_schedule": "scaled_linear"}
CONSISTENCY = {"_class_name": "CMStochasticIterativeScheduler", "num_train_timesteps": 40, "clip_denoised": True, "s_noise": 1.0}
REPAINT = {"_class_name": "RePaintScheduler", "num_train_timesteps": 1000, "beta_schedule": "linear", "clip_sample": True}
SCORE = {"_class_name": "ScoreSdeVeScheduler", "num_train_timesteps": 2000, "sigma_max": 0.6, "sigma_min": 0.01, "snr": 0.05, "correct_steps": 1}
UNLIMITED = {"requires_safety_checker": False, "safety_checker": [None, None], "feature_extractor": [None, None], "image_encoder": [None, None]}
CLASSES = (
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionInstructPix2PixPipeline",
    "StableDiffusionUpscalePipeline",
    "StableDiffusionImageVariationPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusionXLImg2ImgPipeline",
    "StableDiffusionXLInpaintPipeline",
    "LatentConsistencyModelPipeline",
    "LatentConsistencyModelImg2ImgPipeline",
    "MarigoldDepthPipeline",
    "MarigoldNormalsPipeline",
    "DDPMPipeline",
    "DDIMPipeline",
    "DiTPipeline",
    "LDMSuperResolutionPipeline",
    "ConsistencyModelPipeline",
    "RePaintPipeline",
    "ScoreSdeVePipeline",
    "StableDiffusionGLIGENPipeline",
    "StableDiffusionLatentUpscalePipeline",
    "LDMPipeline",
)
IMAGE = {"kind": "painting", "width": 16, "height": 16, "seed": 3}
MASK = {"kind": "hole", "width": 16, "height": 16}
APPLE = {"phrase": "a red apple", "box": [0.1, 0.15, 0.45, 0.6]}
SIZE = dict(height=16, width=16)


class Folder:
    """The configs of a folder under construction: change them, then make a case of them."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.index = {}
        self.networks, self.schedulers, self.processors, self.tokenizers = {}, {}, {}, []
        self.images, self.arguments = {}, {}
        getattr(self, "fill_" + kind_of(pipeline))()

    def network(self, component, library, name, config, **changes):
        self.networks[component] = [library, name, {**copy.deepcopy(config), **changes}]

    def config(self, component):
        if component in self.networks:
            return self.networks[component][2]
        return self.schedulers[component][1] if component in self.schedulers else self.processors[component][1]

    def case(self, name, seed):
        case = Case(name, seed, self.pipeline, self.index)
        for component, (library, cls, config) in self.networks.items():
            case.network(component, library, cls, config)
        for component, (cls, config) in self.schedulers.items():
            case.scheduler(cls, config, component)
        for component, (cls, config) in self.processors.items():
            case.processor(component, config, cls)
        for component in self.tokenizers:
            case.tokenizer(component)
        return case.ask(dict(self.images), **self.arguments)

    def text(self, component="text_encoder", name="CLIPTextModel", **changes):
        self.network(component, "transformers", name, TEXT, **{"architectures": [name], **changes})
        self.tokenizers.append(component.replace("text_encoder", "tokenizer"))

    def scheduler(self, config, component="scheduler"):
        self.schedulers[component] = [config["_class_name"], copy.deepcopy(config)]

    def latent_text(self, steps=2, **unet):
        self.index.update(UNLIMITED)
        self.network("vae", "diffusers", "AutoencoderKL", VAE)
        self.text()
        self.network("unet", "diffusers", "UNet2DConditionModel", UNET, **unet)
        self.scheduler(DDIM)
        self.arguments = dict(prompt=PROMPT, num_inference_steps=steps, guidance_scale=3.0)

    def fill_text(self):
        self.latent_text()
        self.arguments.update(SIZE)

    def fill_controlled(self):
        self.latent_text()
        self.network("controlnet", "diffusers", "ControlNetModel", CONTROL)
        self.images = {"control_image_1": {**IMAGE, "seed": 11}}
        self.arguments.update(SIZE)
        if "Img2Img" in self.pipeline:
            self.images["image"] = IMAGE
            self.arguments.update(num_inference_steps=4, strength=0.6)
        if "Inpaint" in self.pipeline:
            self.images.update(image=IMAGE, mask_image=MASK)
            self.arguments.update(num_inference_steps=3)

    def several(self, *changes):
        """As many ControlNets more as there are changes; diffusers saves them in numbered folders, and names the first alone."""
        self.networks["controlnet"][1] = "MultiControlNetModel"
        for i, change in enumerate(changes, 1):
            self.network(f"controlnet_{i}", "diffusers", "MultiControlNetModel", CONTROL, **change)

    def fill_grounded(self):
        self.latent_text(attention_type="gated")
        self.index.pop("image_encoder")
        self.arguments.update(gligen_objects=json.dumps([APPLE]), **SIZE)

    def fill_doubling(self):
        self.network("vae", "diffusers", "AutoencoderKL", VAE)
        self.text()
        self.network("unet", "diffusers", "UNet2DConditionModel", DOUBLING)
        self.scheduler(CLEAN)
        self.images = {"image": IMAGE}
        self.arguments = dict(prompt=PROMPT, num_inference_steps=2, guidance_scale=3.0)

    def fill_image(self):
        self.latent_text(steps=4)
        self.images = {"image": IMAGE}
        self.arguments.update(strength=0.6)

    def fill_inpaint(self):
        self.latent_text(steps=3, in_channels=9)
        self.images = {"image": IMAGE, "mask_image": MASK}
        self.arguments.update(strength=1.0, **SIZE)

    def fill_instruct(self):
        self.latent_text(in_channels=8)
        self.images = {"image": IMAGE}
        self.arguments.update(image_guidance_scale=1.5)

    def fill_upscale(self):
        self.latent_text(in_channels=7, num_class_embeds=1000)
        for key in ("image_encoder", "requires_safety_checker"):
            self.index.pop(key)
        self.config("vae")["scaling_factor"] = 0.08333
        self.index["max_noise_level"] = 350
        self.scheduler(LOW_RES, "low_res_scheduler")
        self.images = {"image": {**IMAGE, "width": 8, "height": 8}}
        self.arguments.update(noise_level=20)

    def fill_variation(self):
        self.index.update(requires_safety_checker=False, safety_checker=[None, None])
        self.network("vae", "diffusers", "AutoencoderKL", VAE)
        self.network("image_encoder", "transformers", "CLIPVisionModelWithProjection", VISION)
        self.network("unet", "diffusers", "UNet2DConditionModel", UNET)
        self.scheduler(DDIM)
        self.processors["feature_extractor"] = ["CLIPImageProcessor", dict(PROCESSOR)]
        self.images = {"image": {**IMAGE, "width": 40, "height": 36}}
        self.arguments = dict(num_inference_steps=2, guidance_scale=3.0, **SIZE)

    def fill_xl(self):
        self.index.update(force_zeros_for_empty_prompt=True, feature_extractor=[None, None], image_encoder=[None, None])
        if self.pipeline == "StableDiffusionXLPipeline":
            self.index["add_watermarker"] = False
        self.network("vae", "diffusers", "AutoencoderKL", VAE, scaling_factor=0.13025)
        self.text()
        self.text("text_encoder_2", "CLIPTextModelWithProjection", hidden_act="gelu", hidden_size=24, num_attention_heads=3, num_hidden_layers=3, projection_dim=20)
        self.network(
            "unet", "diffusers", "UNet2DConditionModel", UNET, addition_embed_type="text_time", addition_time_embed_dim=8, cross_attention_dim=40,
            projection_class_embeddings_input_dim=68, use_linear_projection=True,
        )
        self.scheduler(EULER)
        self.arguments = dict(prompt=PROMPT, num_inference_steps=2, guidance_scale=3.0)
        if self.pipeline == "StableDiffusionXLPipeline":
            self.arguments.update(SIZE)
        else:
            self.images = {"image": IMAGE}
            self.arguments.update(num_inference_steps=4, strength=0.6)
        if self.pipeline == "StableDiffusionXLInpaintPipeline":
            self.images["mask_image"] = MASK
            self.arguments.update(SIZE)

    def fill_consistency(self):
        self.latent_text(time_cond_proj_dim=8)
        self.scheduler(LCM)
        if "Img2Img" in self.pipeline:
            self.images = {"image": IMAGE}
            self.arguments.update(strength=0.6)
        else:
            self.arguments.update(SIZE)

    def fill_marigold(self):
        self.network("vae", "diffusers", "AutoencoderKL", VAE)
        self.text()
        self.network("unet", "diffusers", "UNet2DConditionModel", UNET, in_channels=8)
        self.scheduler({**DDIM, "timestep_spacing": "trailing"})
        self.index.update(default_denoising_steps=2, default_processing_resolution=16)
        if self.pipeline == "MarigoldDepthPipeline":
            self.index.update(prediction_type="depth", scale_invariant=True, shift_invariant=True)
        else:
            self.index.update(prediction_type="normals", use_full_z_range=True)
        self.images = {"image": IMAGE}
        self.arguments = dict(num_inference_steps=2, processing_resolution=16)

    def fill_pixels(self):
        self.network("unet", "diffusers", "UNet2DModel", UNET2D)
        self.scheduler(DDPM)
        self.arguments = dict(num_inference_steps=3)

    def fill_classes(self):
        self.network("vae", "diffusers", "AutoencoderKL", VAE)
        self.network("transformer", "diffusers", "DiTTransformer2DModel", DIT)
        self.scheduler({**DDIM, "beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02, "set_alpha_to_one": True, "steps_offset": 0})
        self.arguments = dict(class_labels=[7], num_inference_steps=2, guidance_scale=3.0)

    def fill_superresolution(self):
        self.network("vqvae", "diffusers", "VQModel", VQ)
        self.network("unet", "diffusers", "UNet2DModel", UNET2D, in_channels=6, sample_size=8)
        self.scheduler({**DDIM, "steps_offset": 0})
        self.images = {"image": {**IMAGE, "width": 32, "height": 32}}
        self.arguments = dict(num_inference_steps=2)

    def fill_latents(self):
        self.network("vqvae", "diffusers", "VQModel", VQ)
        self.network("unet", "diffusers", "UNet2DModel", UNET2D, in_channels=3, out_channels=3, sample_size=8)
        self.scheduler({**DDIM, "steps_offset": 0})
        self.arguments = dict(num_inference_steps=2)

    def fill_onestep(self):
        self.network("unet", "diffusers", "UNet2DModel", UNET2D)
        self.scheduler(CONSISTENCY)
        self.arguments = dict(num_inference_steps=2)

    def fill_repaint(self):
        self.network("unet", "diffusers", "UNet2DModel", UNET2D)
        self.scheduler(REPAINT)
        self.images = {"image": {**IMAGE, "width": 32, "height": 32}, "mask_image": {**MASK, "width": 32, "height": 32}}
        self.arguments = dict(num_inference_steps=4, eta=0.0, jump_length=2, jump_n_sample=2)

    def fill_score(self):
        self.network("unet", "diffusers", "UNet2DModel", UNET2D)
        self.scheduler(SCORE)
        self.arguments = dict(num_inference_steps=4)


def kind_of(pipeline):
    kinds = {
        "StableDiffusionPipeline": "text",
        "StableDiffusionImg2ImgPipeline": "image",
        "StableDiffusionInpaintPipeline": "inpaint",
        "StableDiffusionInstructPix2PixPipeline": "instruct",
        "StableDiffusionUpscalePipeline": "upscale",
        "StableDiffusionImageVariationPipeline": "variation",
        "StableDiffusionGLIGENPipeline": "grounded",
        "StableDiffusionLatentUpscalePipeline": "doubling",
        "LDMPipeline": "latents",
        "DDPMPipeline": "pixels",
        "DDIMPipeline": "pixels",
        "DiTPipeline": "classes",
        "LDMSuperResolutionPipeline": "superresolution",
        "ConsistencyModelPipeline": "onestep",
        "RePaintPipeline": "repaint",
        "ScoreSdeVePipeline": "score",
    }
    for start, kind in (("StableDiffusionControlNet", "controlled"), ("StableDiffusionXL", "xl"), ("LatentConsistency", "consistency"), ("Marigold", "marigold")):
        if pipeline.startswith(start):
            return kind
    return kinds[pipeline]
