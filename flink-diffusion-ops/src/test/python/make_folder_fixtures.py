#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes fixtures/folders/chosen.json.gz: folders that stand for one kind of difference each, and what diffusers makes of them.

    venv/bin/python make_folder_fixtures.py [name ...]              # with names, only reports on those
    venv/bin/python make_folder_fixtures.py --published FILE        # published consistency models' configs at full width, for RandomFolders
"""

import sys
from pathlib import Path

from fixture_tools import FIXTURES
from folder_bases import CLASSES, DDIM, IMAGE, NEGATIVE, SD, SIZE, Folder
from folder_cases import configure, pack

OUT = FIXTURES.parent / "folders" / "chosen.json.gz"


IMAGENET_64 = {
    "add_attention": True,
    "attention_head_dim": 64,
    "block_out_channels": [192, 384, 576, 768],
    "center_input_sample": False,
    "class_embed_type": None,
    "down_block_types": ["ResnetDownsampleBlock2D"] + ["AttnDownBlock2D"] * 3,
    "downsample_padding": 1,
    "downsample_type": "resnet",
    "dropout": 0.0,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "layers_per_block": 3,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-5,
    "norm_num_groups": 32,
    "num_class_embeds": 1000,
    "resnet_time_scale_shift": "scale_shift",
    "sample_size": 64,
    "time_embedding_type": "positional",
    "up_block_types": ["AttnUpBlock2D"] * 3 + ["ResnetUpsampleBlock2D"],
    "upsample_type": "resnet",
}
LSUN_256 = {
    **IMAGENET_64,
    "block_out_channels": [256, 256, 512, 512, 1024, 1024],
    "down_block_types": ["ResnetDownsampleBlock2D"] * 3 + ["AttnDownBlock2D"] * 3,
    "layers_per_block": 2,
    "num_class_embeds": None,
    "resnet_time_scale_shift": "default",
    "sample_size": 256,
    "up_block_types": ["AttnUpBlock2D"] * 3 + ["ResnetUpsampleBlock2D"] * 3,
}
CD = {"_class_name": "CMStochasticIterativeScheduler", "clip_denoised": True, "num_train_timesteps": 40, "rho": 7.0, "s_noise": 1.0, "sigma_data": 0.5, "sigma_max": 80.0, "sigma_min": 0.002}


def consistency_models(narrower=1, groups=32, smaller=4):
    """Folders of the published shapes: distilled (cd) and trained alone (ct), of ImageNet's classes and of LSUN's images."""
    steps = {"one step": {"num_inference_steps": 1}, "two steps": {"timesteps": [22, 0]}}
    for shape, unet, train_steps, calls in (("cd_imagenet64", IMAGENET_64, 40, steps), ("ct_imagenet64", IMAGENET_64, 201, {"two steps": {"timesteps": [106, 0]}}), ("cd_cat256", LSUN_256, 40, {"two steps": {"timesteps": [17, 0]}})):
        for words, arguments in calls.items():
            folder = Folder("ConsistencyModelPipeline")
            folder.config("unet").update(unet)
            if narrower > 1:
                widths = [width // narrower // groups * groups for width in unet["block_out_channels"]]
                folder.config("unet").update(block_out_channels=widths, attention_head_dim=groups, norm_num_groups=groups, sample_size=unet["sample_size"] // smaller)
            folder.config("unet").pop("act_fn")
            folder.scheduler({**CD, "num_train_timesteps": train_steps})
            folder.arguments = dict(arguments)
            if unet["num_class_embeds"]:
                folder.arguments["class_labels"] = 145
            yield f"{shape}, {words}", folder


def cases():
    """Pairs of a folder under construction and the case's name."""

    def folder(name, pipeline="StableDiffusionPipeline", **changes):
        made = Folder(pipeline)
        for component, keys in changes.items():
            made.config(component).update(keys)
        return name, made

    for pipeline in CLASSES:
        yield folder("plain " + pipeline, pipeline)

    # The autoencoder's last activation is SiLU whatever act_fn says.
    for act in ("gelu", "relu", "swish"):
        yield folder("vae act_fn " + act, vae={"act_fn": act})
    yield folder("vae act_fn gelu, from an image", "StableDiffusionImg2ImgPipeline", vae={"act_fn": "gelu"})
    yield folder("vqvae act_fn gelu", "LDMSuperResolutionPipeline", vqvae={"act_fn": "gelu"})

    # Statistics of the latents and shift_factor: SDXL alone reads the former, nobody here the latter.
    statistics = {"latents_mean": [0.3, -0.2, 0.1, 0.4], "latents_std": [1.5, 0.8, 1.2, 0.6]}
    for pipeline in CLASSES:
        if "vae" in Folder(pipeline).networks:
            yield folder("latents' statistics, " + pipeline, pipeline, vae=statistics)
            yield folder("shift_factor, " + pipeline, pipeline, vae={"shift_factor": 0.4})
    yield folder("latents_mean alone", "StableDiffusionXLPipeline", vae={"latents_mean": [0.3, -0.2, 0.1, 0.4]})
    yield folder("the x4 upscaler's scaling_factor", "StableDiffusionUpscalePipeline", vae={"scaling_factor": 0.18215})

    # SDXL's negative sizes and crops, given in part.
    for pipeline in ("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"):
        for given in (("original",), ("target",), ("crops",), ("original", "target"), ("original", "target", "crops"), ("target", "crops")):
            name, made = folder(f"negative {' and '.join(given)}, {pipeline}", pipeline)
            values = {"original": ("negative_original_size", [40, 24]), "target": ("negative_target_size", [56, 72]), "crops": ("negative_crops_coords_top_left", [4, 2])}
            made.arguments.update([values[key] for key in given])
            made.arguments.update(negative_prompt=NEGATIVE, crops_coords_top_left=[3, 5], original_size=[64, 48])
            yield name, made

    # The pipelines' own sizes.
    for pipeline in ("StableDiffusionPipeline", "StableDiffusionImageVariationPipeline"):
        for key, value in (("sample_size", 8), ("sample_size", [4, 8])):
            if pipeline != "StableDiffusionPipeline" and isinstance(value, list):
                continue
            name, made = folder(f"{key} {value}, {pipeline}", pipeline, unet={key: value})
            for side in SIZE:
                made.arguments.pop(side)
            yield name, made
    name, made = folder("sample_size of version 0.8", unet={"sample_size": 8, "_diffusers_version": "0.8.1"})
    for side in SIZE:
        made.arguments.pop(side)
    made.config("vae").update(block_out_channels=[8], down_block_types=["DownEncoderBlock2D"], up_block_types=["UpDecoderBlock2D"])
    made.arguments.update(num_inference_steps=1)
    yield name, made
    yield folder("sample_size 12 x 8 of pixels", "DDPMPipeline", unet={"sample_size": [12, 8]})
    yield folder("sample_size 12 x 8 of pixels by DDIM", "DDIMPipeline", unet={"sample_size": [12, 8]})

    # Images whose sides are no multiples of the autoencoder's factor are resized first.
    for pipeline in ("StableDiffusionInstructPix2PixPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionXLImg2ImgPipeline", "LatentConsistencyModelImg2ImgPipeline"):
        name, made = folder("odd image, " + pipeline, pipeline)
        made.images["image"] = {**IMAGE, "width": 23, "height": 17}
        yield name, made

    # Of listed timesteps the strength leaves out the first, in latent consistency models, too.
    for strength in (0.6, 1.0):
        name, made = folder(f"listed timesteps of a latent consistency model, strength {strength}", "LatentConsistencyModelImg2ImgPipeline")
        made.arguments.pop("num_inference_steps")
        made.arguments.update(timesteps=[899, 499, 19], strength=strength)
        yield name, made

    # Of Heun's listed timesteps a strength takes calls, two a step, and leaves out as many steps as calls are left.
    for pipeline in ("StableDiffusionImg2ImgPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusionInpaintPipeline"):
        for timesteps, strength in (([900, 700, 500, 300, 100], 0.8), ([900, 700, 500, 300, 100], 0.45), ([999, 300], 0.6)):
            name, made = folder(f"Heun, {len(timesteps)} listed timesteps, strength {strength}, {pipeline}", pipeline)
            made.scheduler({"_class_name": "HeunDiscreteScheduler", **SD})
            made.arguments.pop("num_inference_steps")
            made.arguments.update(timesteps=timesteps, strength=strength)
            yield name, made

    # Schedulers that cannot mix an image and noise begin with noise alone.
    for scheduler in ({"_class_name": "IPNDMScheduler", "num_train_timesteps": 1000}, {**DDIM, "_class_name": "DDIMInverseScheduler"}):
        for channels, steps, strength in ((4, 3, 1.0), (4, 1, 1.0), (9, 3, 1.0), (9, 3, 0.8)):
            name, made = folder(f"{scheduler['_class_name']}, inpainting of {channels} channels, {steps} steps, strength {strength}", "StableDiffusionInpaintPipeline", unet={"in_channels": channels})
            made.scheduler(scheduler)
            made.arguments.update(num_inference_steps=steps, strength=strength)
            yield name, made
        name, made = folder(f"{scheduler['_class_name']}, image to image", "StableDiffusionImg2ImgPipeline")
        made.scheduler(scheduler)
        made.arguments.update(strength=1.0)
        yield name, made

    # An image that comes out of the processor in another size than the network's.
    for side, processor in ((36, {"do_center_crop": False}), (40, {"do_center_crop": False}), (36, {"crop_size": 24}), (36, {"do_center_crop": False, "size": {"height": 32, "width": 40}})):
        name, made = folder(f"image of 40 x {side} prepared by {processor}", "StableDiffusionImageVariationPipeline", feature_extractor=processor)
        made.images["image"] = {**IMAGE, "width": 40, "height": side}
        yield name, made

    # The shapes of published consistency models (openai/diffusers-cd_*, diffusers-ct_*), 12 times narrower.
    yield from consistency_models(narrower=12, groups=4)

    # Texts.
    for prompt in ("", " ", "\n"):
        name, made = folder("prompt " + repr(prompt))
        made.arguments["prompt"] = prompt
        yield name, made

    for skip in (0, 1, 2):
        name, made = folder(f"clip_skip {skip} of the x4 upscaler", "StableDiffusionUpscalePipeline")
        made.arguments.update(clip_skip=skip, negative_prompt=NEGATIVE)
        yield name, made

    # A UNet's options.
    yield folder("cross_attention_dim is a list", unet={"cross_attention_dim": [16, 16]})
    yield folder("downsample_padding 0", unet={"downsample_padding": 0})

    yield folder(
        "lists of transformer layers, where one level does not attend",
        unet={"layers_per_block": [1, 2], "transformer_layers_per_block": [[2], [1]], "reverse_transformer_layers_per_block": [[1, 2], [2, 1]]},
    )

    # model_index.json decides a component's class.
    yield folder("the vae's config names another class", vae={"_class_name": "AutoencoderTiny"})
    yield folder("the unet's config names another class", unet={"_class_name": "UNet2DModel"})
    yield folder("the text encoder's config names another class", text_encoder={"architectures": ["CLIPTextModelWithProjection"]})
    yield folder("the text encoder's config is of a vision network", text_encoder={"architectures": ["CLIPModel"]})
    name, made = folder("the index names a UNet of another class")
    made.networks["unet"][1] = "UNet2DModel"
    yield name, made
    name, made = folder("the index names a text encoder of another class")
    made.networks["text_encoder"][1] = "CLIPTextModelWithProjection"
    yield name, made
    name, made = folder("the index names another text encoder for SDXL", "StableDiffusionXLPipeline")
    made.networks["text_encoder_2"][1] = "CLIPTextModel"
    yield name, made
    name, made = folder("the index names a tiny autoencoder", vae={"_class_name": "AutoencoderKL"})
    tiny = {"_class_name": "AutoencoderKL", "encoder_block_out_channels": [8, 8], "decoder_block_out_channels": [8, 8], "num_encoder_blocks": [1, 1], "num_decoder_blocks": [1, 1], "block_out_channels": [8, 8]}
    made.networks["vae"] = ["diffusers", "AutoencoderTiny", tiny]
    yield name, made
    name, made = folder("a transformer's config of the class before", "DiTPipeline", transformer={"_class_name": "Transformer2DModel", "norm_type": "ada_norm_zero"})
    yield name, made
    # Flags that are null are false, not their default.
    for component, key in (("unet", "flip_sin_to_cos"), ("vae", "mid_block_add_attention"), ("vae", "use_quant_conv")):
        yield folder(f"{key} null", **{component: {key: None}})
    yield folder("flip_sin_to_cos null of pixels", "DDPMPipeline", unet={"flip_sin_to_cos": None})
    yield folder("do_normalize null", "StableDiffusionImageVariationPipeline", feature_extractor={"do_normalize": None})
    name, made = folder("force_zeros_for_empty_prompt null", "StableDiffusionXLPipeline")
    made.index["force_zeros_for_empty_prompt"] = None
    yield name, made

    # Keys that a config itself says were not set do not count.
    for component, key, value in (("scheduler", "prediction_type", "v_prediction"), ("unet", "flip_sin_to_cos", False), ("vae", "scaling_factor", 0.5)):
        yield folder(f"{key} is listed as a default", **{component: {key: value, "_use_default_values": [key]}})
    name, made = folder("force_zeros_for_empty_prompt is listed as a default", "StableDiffusionXLPipeline")
    made.index.update(force_zeros_for_empty_prompt=False, _use_default_values=["force_zeros_for_empty_prompt"])
    yield name, made

    # A network whose config is that of a whole CLIP takes its part of it.
    name, made = folder("the text encoder's config is of a whole CLIP")
    made.networks["text_encoder"][2] = {"model_type": "clip", "projection_dim": 8, "text_config": made.config("text_encoder")}
    yield name, made
    name, made = folder("the image encoder's config is of a whole CLIP", "StableDiffusionImageVariationPipeline")
    made.networks["image_encoder"][2] = {"model_type": "clip", "projection_dim": 8, "vision_config": made.config("image_encoder")}
    yield name, made

    name, made = folder("a feature extractor's class before", "StableDiffusionImageVariationPipeline")
    made.processors["feature_extractor"][0] = "CLIPFeatureExtractor"
    yield name, made


def main():
    configure()
    if sys.argv[1:2] == ["--published"]:
        full = [folder.case(name, 1000).stored("unet", dtype="F16").expect() for name, folder in consistency_models()]
        pack(full, Path(sys.argv[2]))
        return
    wanted, made = sys.argv[1:], []
    for name, folder in cases():
        if wanted and not any(word in name for word in wanted):
            continue
        case = folder.case(name, 1000 + CLASSES.index(folder.pipeline))
        if name.startswith(("cd_", "ct_")):
            case.stored("unet", dtype="F16")
        case.expect()
        outcome = case.json["expected"][0]
        print(f"{name:70} {outcome.get('refused') or (outcome['shape'], outcome['inside'])}", flush=True)
        made.append(case)
    if not wanted:
        pack(made, OUT)


if __name__ == "__main__":
    main()
