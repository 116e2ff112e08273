#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""What random_folders.py draws beside single keys: several configs at once, layouts of files, and what a request says.

Keys whose values hang together (a text encoder's width and the UNet's cross_attention_dim, say) are drawn as one; now and then they
are drawn so that they do not fit, which both sides must refuse.
"""

import json

from folder_bases import DDIM, EULER, IMAGE, LOW_RES, NEGATIVE, SD, VAE
from listed_differences import LONE_VARIANT, PICKLED
from random_scheduler_cases import classes_of, draw_config

# The draw of schedulers; another number draws other folders from the same seed.
SCHEDULER_DRAW = 1

ABSENT = object()

TINY = {
    "_class_name": "AutoencoderTiny",
    "block_out_channels": [8, 8],
    "decoder_block_out_channels": [8, 8],
    "encoder_block_out_channels": [8, 8],
    "num_decoder_blocks": [1, 1],
    "num_encoder_blocks": [1, 1],
}
GUIDED = ("text", "image", "inpaint", "instruct", "upscale", "xl", "grounded")
TEXTS = GUIDED + ("consistency",)


def change(rng, config, values, often=0.35):
    for key, choices in values.items():
        if rng.random() < often:
            put(config, key, rng.choice(choices))


def put(config, key, value):
    if value is ABSENT:
        config.pop(key, None)
    else:
        config[key] = value


def change_shapes(rng, folder, kind):
    """Several configs at once."""
    network = {name: entry[2] for name, entry in folder.networks.items()}
    unet = network.get("unet")
    if unet is not None and folder.networks["unet"][1] == "UNet2DConditionModel":
        if kind == "xl":
            change_xl(rng, folder, network)
        elif "text_encoder" in network:
            change_text_width(rng, network["text_encoder"], unet)
        if kind != "doubling":
            change_unet(rng, unet, kind)
        if kind == "grounded":
            fit_grounded(rng, folder, unet)
        if kind == "inpaint" and rng.random() < 0.4:
            unet["in_channels"] = 4
    elif unet is not None:
        if rng.random() < 0.04:
            unet["class_embed_type"] = rng.choice(["timestep", "identity"])
        if rng.random() < 0.02:
            unet["num_class_embeds"] = 10
        if kind == "onestep" and rng.random() < 0.35:
            unet["num_class_embeds"] = 10
        if rng.random() < 0.15:
            unet["sample_size"] = rng.choice([8, 12, [8, 12]])
    if "vae" in network:
        change_vae(rng, folder, network)
    if kind == "doubling":
        fit_doubling(rng, folder, unet)
    if "image_encoder" in network:
        change_vision(rng, folder, network["image_encoder"], unet)


def change_text_width(rng, text, unet):
    turn = rng.random()
    if turn < 0.1:
        text.update(hidden_size=24, num_attention_heads=rng.choice([2, 3]))
        unet["cross_attention_dim"] = 24
    elif turn < 0.2:
        unet.update(encoder_hid_dim=16, cross_attention_dim=24)
        put(unet, "encoder_hid_dim_type", rng.choice(["text_proj", "text_proj", ABSENT, None]))
    elif turn < 0.22:
        put(unet, "cross_attention_dim", rng.choice([20, [16, 8], [16], ABSENT]))
    if rng.random() < 0.12 and isinstance(unet.get("cross_attention_dim"), int):
        unet["cross_attention_dim"] = [unet["cross_attention_dim"]] * len(unet["block_out_channels"])
    if rng.random() < 0.03:
        text["max_position_embeddings"] = rng.choice([40, 80])


def change_unet(rng, unet, kind):
    if rng.random() < 0.06:
        unet["time_cond_proj_dim"] = None if kind == "consistency" else 8
    if rng.random() < 0.025 or kind == "upscale" and rng.random() < 0.3:
        unet.pop("num_class_embeds", None)
        unet["class_embed_type"] = rng.choice(["timestep", "timestep", "projection", "simple_projection", "identity", None])
        put(unet, "projection_class_embeddings_input_dim", rng.choice([ABSENT, 8]) if kind != "xl" else unet["projection_class_embeddings_input_dim"])
    elif rng.random() < 0.015 and kind != "upscale":
        unet["num_class_embeds"] = 10
    if rng.random() < 0.025:
        unet["addition_embed_type"] = rng.choice(["text", None, "text_time"])
    if rng.random() < 0.06:
        unet["attention_type"] = "default"
    if rng.random() < 0.06:
        unet[rng.choice(["conv_in_kernel", "conv_out_kernel"])] = rng.choice([5, 5, 5, 2])
    if rng.random() < 0.1:
        unet["transformer_layers_per_block"] = [[1], [2]]
        put(unet, "reverse_transformer_layers_per_block", rng.choice([[[1, 2], [2, 1]]] * 5 + [ABSENT]))
    if rng.random() < 0.02:
        unet["out_channels"] = rng.choice([8, 3])


def fit_grounded(rng, folder, unet):
    """A UNet that sees phrases as it sees the prompt, most of the time."""
    if rng.random() < 0.85:
        unet.update(attention_type="gated", cross_attention_dim=folder.config("text_encoder")["hidden_size"])
        unet.pop("encoder_hid_dim", None), unet.pop("encoder_hid_dim_type", None)
    elif rng.random() < 0.3:
        put(unet, "attention_type", rng.choice(["default", "gated-text-image", ABSENT]))
    if rng.random() < 0.6:
        unet["norm_num_groups"] = rng.choice([2, 4])


def fit_doubling(rng, folder, unet):
    """The x2 latent upscaler's UNet after its neighbours, most of the time."""
    if rng.random() < 0.95:
        unet["time_cond_proj_dim"] = 128 + folder.config("text_encoder")["hidden_size"]
    if rng.random() < 0.95:
        unet["out_channels"] = unet["in_channels"] // 2 + 1
    widths = unet["block_out_channels"]
    if rng.random() < 0.95 and unet["down_block_types"][0].startswith("K"):
        # The lowest of these blocks are as wide as the embedded time and as those above them.
        widths[-1] = widths[-2] = max(widths)
        if unet["down_block_types"][-1].startswith("K"):
            unet["time_embedding_dim"] = widths[-1]
    if not all(name.startswith("K") for name in unet["down_block_types"]):
        unet["norm_num_groups"] = rng.choice([4, 8])
        put(unet, "mid_block_type", rng.choice([None, "UNetMidBlock2DCrossAttn", ABSENT]))
    elif rng.random() < 0.1:
        unet["norm_num_groups"] = rng.choice([4, 8, 32])


def change_xl(rng, folder, network):
    unet, one, two = network["unet"], network.get("text_encoder"), network["text_encoder_2"]
    if "Img2Img" in folder.pipeline and rng.random() < 0.4:
        folder.networks.pop("text_encoder")
        folder.tokenizers.remove("tokenizer")
        folder.index.update(text_encoder=[None, None], tokenizer=[None, None], requires_aesthetics_score=True)
        unet.update(cross_attention_dim=24, projection_class_embeddings_input_dim=20 + 5 * 8)
        one = None
    ids = 5 if one is None else 6
    if rng.random() < 0.25:
        width, projection = rng.choice([4, 8, 16]), rng.choice([20, 12])
        two["projection_dim"] = projection
        unet.update(addition_time_embed_dim=width, projection_class_embeddings_input_dim=projection + ids * width)
    if rng.random() < 0.05:
        unet["projection_class_embeddings_input_dim"] += 2
    if rng.random() < 0.1 and one is not None:
        one.update(hidden_size=8)
        unet["cross_attention_dim"] = 32
    if rng.random() < 0.3:
        put(folder.index, "force_zeros_for_empty_prompt", rng.choice([True, False, ABSENT]))
    if rng.random() < 0.05 and folder.pipeline == "StableDiffusionXLImg2ImgPipeline":
        put(folder.index, "requires_aesthetics_score", rng.choice([True, False, ABSENT]))


def change_vae(rng, folder, network):
    vae, turn = network["vae"], rng.random()
    if turn < 0.08:
        vae.update(block_out_channels=[8], down_block_types=["DownEncoderBlock2D"], up_block_types=["UpDecoderBlock2D"])
    elif turn < 0.16:
        vae.update(block_out_channels=[8, 8, 16], down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3)
    elif turn < 0.22:
        tiny = dict(TINY)
        change(rng, tiny, {"act_fn": ["relu", "gelu", "silu"], "scaling_factor": [1.0, 0.5], "shift_factor": [0.0, 0.2], "upsample_fn": ["nearest"], "upsampling_scaling_factor": [2], "force_upcast": [True, False]})
        folder.networks["vae"][1:] = ["AutoencoderTiny", tiny]
    elif turn < 0.26 and "unet" in network and folder.networks["unet"][1] == "UNet2DConditionModel":
        given = network["unet"]["in_channels"]
        vae["latent_channels"] = 3
        vae.pop("latents_mean", None), vae.pop("latents_std", None)
        network["unet"].update(in_channels={4: 3, 8: 6, 9: 7, 7: 6}[given], out_channels=3)


def change_vision(rng, folder, vision, unet):
    if rng.random() < 0.15:
        vision["projection_dim"] = unet["cross_attention_dim"] = 12
    if rng.random() < 0.15:
        side = rng.choice([24, 36, [32, 32]])
        if not isinstance(side, list):
            vision["image_size"] = side
            folder.config("feature_extractor").update(size=side, crop_size=side)
    processor = folder.config("feature_extractor")
    change(
        rng,
        processor,
        {
            "crop_size": [{"height": 32, "width": 32}, 32, {"height": 32, "width": 24}],
            "do_center_crop": [True, False, ABSENT],
            "do_convert_rgb": [True, ABSENT],
            "do_normalize": [True, False, ABSENT],
            "do_rescale": [True, False, ABSENT],
            "do_resize": [True, False, ABSENT],
            "feature_extractor_type": [ABSENT],
            "image_mean": [[0.48145466, 0.4578275, 0.40821073], [0.5, 0.5, 0.5], ABSENT],
            "image_std": [[0.26862954, 0.26130258, 0.27577711], [0.5, 0.4, 0.3], ABSENT],
            "image_processor_type": ["CLIPImageProcessor", "CLIPFeatureExtractor"],
            "resample": [3, 2, 1, 4, 5, ABSENT],
            "rescale_factor": [1 / 255, 0.00392156862745098, 0.01],
            "size": [{"shortest_edge": 32}, 32, {"height": 32, "width": 32}, {"height": 32, "width": 40}],
        },
        0.2,
    )
    if rng.random() < 0.3:
        folder.processors["feature_extractor"][0] = "CLIPFeatureExtractor"


def change_names(rng, folder):
    """Classes and versions as the files themselves name them: model_index.json decides, if anything does."""
    for component, entry in folder.networks.items():
        key = "_class_name" if entry[0] == "diffusers" else "architectures"
        if rng.random() < 0.1:
            put(entry[2], key, rng.choice([ABSENT, "SomeOtherModel" if key == "_class_name" else ["SomeOtherModel"]]))
        if rng.random() < 0.2:
            put(entry[2], "_diffusers_version" if entry[0] == "diffusers" else "transformers_version", rng.choice(["0.6.0", "0.8.1", "0.30.1"]))
        if rng.random() < 0.05:
            entry[2]["_name_or_path"] = "somewhere/else"
    for cls, config in folder.schedulers.values():
        if rng.random() < 0.12:
            put(config, "_class_name", rng.choice([ABSENT, "SomeScheduler", "PNDMScheduler"]))
        if rng.random() < 0.1:
            config["_diffusers_version"] = "0.6.0"
    for key in ("requires_safety_checker", "safety_checker", "feature_extractor", "image_encoder"):
        if folder.index.get(key) in ([None, None], False) and rng.random() < 0.1:
            del folder.index[key]


def change_index(rng, folder, kind):
    """Keys of model_index.json that a pipeline reads."""
    if kind == "marigold":
        change(rng, folder.index, {"default_denoising_steps": [1, 3, ABSENT, None], "default_processing_resolution": [16, 24, 0, ABSENT, None]}, 0.3)
        if folder.pipeline == "MarigoldDepthPipeline":
            change(rng, folder.index, {"prediction_type": ["depth", "disparity", ABSENT, None], "scale_invariant": [True, False, ABSENT], "shift_invariant": [True, False, ABSENT]}, 0.4)
        else:
            change(rng, folder.index, {"prediction_type": ["normals", ABSENT, None], "use_full_z_range": [True, False, ABSENT]}, 0.4)
    if kind == "upscale":
        change(rng, folder.index, {"max_noise_level": [350, 100, 20, ABSENT]}, 0.3)


def change_schedulers(rng, folder, kind):
    """Now and then any scheduler with any of its keys; the x4 upscaler's second one, too."""
    if kind in ("text", "image", "inpaint", "instruct", "upscale", "variation", "xl", "grounded") and rng.random() < 0.25:
        name = rng.choice([each for each in classes_of(SCHEDULER_DRAW) if "Inverse" not in each])
        config = draw_config(rng, name, SCHEDULER_DRAW)
        config.setdefault("num_train_timesteps", 1000)
        folder.scheduler({"_class_name": name, **config})
    if kind == "consistency":
        change(
            rng,
            folder.config("scheduler"),
            {
                "clip_sample": [False, True, ABSENT],
                "original_inference_steps": [50, 25, ABSENT],
                "prediction_type": ["epsilon", "v_prediction", ABSENT, "sample"],
                "rescale_betas_zero_snr": [False, True],
                "set_alpha_to_one": [True, False, ABSENT],
                "steps_offset": [0, 1, ABSENT],
                "thresholding": [False, False, True],
                "timestep_scaling": [10.0, 5, ABSENT],
                "timestep_spacing": ["leading", "trailing", ABSENT],
            },
            0.2,
        )
    if kind == "pixels":
        change(
            rng,
            folder.config("scheduler"),
            {
                "beta_schedule": ["linear", "squaredcos_cap_v2", ABSENT],
                "clip_sample": [True, False, ABSENT],
                "clip_sample_range": [1.0, 2.0],
                "prediction_type": ["epsilon", "v_prediction", "sample", ABSENT],
                "steps_offset": [0, 1],
                "thresholding": [True, False],
                "timestep_spacing": ["leading", "trailing", "linspace", ABSENT],
                "variance_type": ["fixed_small", "fixed_large", "fixed_small_log", ABSENT],
            },
            0.25,
        )
        if rng.random() < 0.2:
            folder.schedulers["scheduler"][0] = folder.config("scheduler")["_class_name"] = "DDIMScheduler"
    if kind == "doubling":
        if rng.random() < 0.3:
            folder.scheduler({"_class_name": "EulerDiscreteScheduler", **folder.config("scheduler"), **draw_config(rng, "EulerDiscreteScheduler", SCHEDULER_DRAW)})
        change(
            rng,
            folder.config("scheduler"),
            {
                "beta_schedule": ["scaled_linear", "linear", "squaredcos_cap_v2", ABSENT],
                "final_sigmas_type": ["zero", "sigma_min", ABSENT],
                "interpolation_type": ["linear", "log_linear", ABSENT],
                "num_train_timesteps": [1000, 500, ABSENT],
                "rescale_betas_zero_snr": [True, False, False],
                "steps_offset": [0, 1, ABSENT],
                "timestep_spacing": ["leading", "trailing", "linspace", ABSENT],
                "trained_betas": [None, ABSENT],
                "use_karras_sigmas": [True, False, ABSENT],
            },
            0.25,
        )
        folder.config("scheduler")["prediction_type"] = rng.choice(["original_sample", "sample"])
        if rng.random() < 0.06:
            put(folder.config("scheduler"), "prediction_type", rng.choice(["epsilon", "v_prediction", ABSENT]))
        if rng.random() < 0.06:
            folder.scheduler({**folder.config("scheduler"), "_class_name": rng.choice(["DDIMScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler"])})
    if kind in ("onestep", "repaint", "score"):
        # Their own class with any of its keys, usual ones more often; now and then another class, which most of them cannot sample with.
        if rng.random() < 0.5:
            name = folder.schedulers["scheduler"][0]
            folder.scheduler({"_class_name": name, **folder.config("scheduler"), **draw_config(rng, name, SCHEDULER_DRAW)})
        if kind == "score":
            folder.config("scheduler")["sigma_max"] = rng.choice([0.6, 0.6, 0.8, 2.0])
        if rng.random() < (0.2 if kind == "onestep" else 0.05):
            folder.scheduler({**rng.choice([DDIM, EULER, {"_class_name": "HeunDiscreteScheduler", **SD}])})
    if kind == "upscale":
        change(rng, folder.config("low_res_scheduler"), {"beta_schedule": ["linear", "scaled_linear", "squaredcos_cap_v2"], "beta_end": [0.02, 0.012], "num_train_timesteps": [1000, 500], "clip_sample": [True, ABSENT]}, 0.25)
        if rng.random() < 0.2:
            folder.scheduler({**LOW_RES, "_class_name": rng.choice(["DDIMScheduler", "EulerDiscreteScheduler"])}, "low_res_scheduler")


def change_request(rng, folder, kind):
    arguments = folder.arguments
    if kind in TEXTS:
        arguments["guidance_scale"] = rng.choice([1.0, 3.0, 7.5] if kind in GUIDED else [1.0, 8.5])
        if rng.random() < 0.3:
            arguments["prompt"] = rng.choice(["", "two cats, 4k!", "a " * 90])
        if rng.random() < 0.25 and kind != "instruct":
            arguments["clip_skip"] = rng.choice([0, 1, 2])
    if kind in GUIDED:
        if rng.random() < 0.4:
            arguments["negative_prompt"] = rng.choice(["", NEGATIVE])
        if rng.random() < 0.2 and kind in ("text", "xl"):
            arguments["guidance_rescale"] = 0.7
        if rng.random() < 0.12:
            arguments["eta"] = rng.choice([0.5, 1.0])
    if kind in ("text", "image", "inpaint", "xl", "consistency") and rng.random() < 0.06:
        arguments.update(rng.choice([{"timesteps": [900, 500, 20]}, {"timesteps": [999, 300]}] + ([{"sigmas": [9.0, 2.5, 0.3]}] if kind != "consistency" else [])))
        arguments.pop("num_inference_steps")
    if kind == "xl":
        change(
            rng,
            arguments,
            {
                "prompt_2": ["a photograph", ""],
                "negative_prompt_2": ["blurred"],
                "original_size": [[64, 48]],
                "crops_coords_top_left": [[3, 5]],
                "negative_original_size": [[40, 24]],
                "negative_crops_coords_top_left": [[4, 2]],
                **({} if folder.index.get("requires_aesthetics_score") else {"target_size": [[32, 48]], "negative_target_size": [[56, 72]]}),
                **({"aesthetic_score": [2.5, 7.0], "negative_aesthetic_score": [1.0]} if folder.index.get("requires_aesthetics_score") else {}),
            },
            0.15,
        )
    if "strength" in arguments and rng.random() < 0.3:
        arguments["strength"] = rng.choice([0.3, 0.8, 1.0])
    if "width" in arguments and "image" not in folder.images and rng.random() < 0.2:
        arguments.update(width=24)
    if kind in ("image", "instruct", "consistency") and folder.images and rng.random() < 0.2:
        folder.images["image"] = {**IMAGE, "width": 24, "height": 17}
    if kind == "instruct":
        arguments["image_guidance_scale"] = rng.choice([1.0, 1.5, 2.0])
    if kind == "grounded":
        change_objects(rng, arguments)
    if kind == "doubling":
        arguments["guidance_scale"] = rng.choice([0.0, 1.0, 3.0, 9.0])
        change(rng, arguments, {"prompt": ["", "two cats, 4k!", "a " * 90], "negative_prompt": ["", NEGATIVE]}, 0.4)
        arguments["num_inference_steps"] = rng.choice([1, 2, 2, 3, 5])
        if rng.random() < 0.4:
            folder.images["image"] = {**IMAGE, **rng.choice([{"width": 24}, {"height": 32}, {"width": 17, "height": 21}, {"width": 8, "height": 8}])}
    if kind == "variation":
        arguments["guidance_scale"] = rng.choice([1.0, 3.0])
    if kind == "upscale":
        arguments["noise_level"] = rng.choice([20, 0, 50, 350, 351])
    if kind == "consistency" and rng.random() < 0.2:
        arguments["original_inference_steps"] = rng.choice([20, 50])
    if folder.pipeline == "DDIMPipeline":
        change(rng, arguments, {"eta": [0.0, 0.5, 1.0], "use_clipped_model_output": [True, False]}, 0.4)
    if kind == "onestep":
        arguments["num_inference_steps"] = rng.choice([1, 1, 2, 3, 4])
        if folder.config("unet").get("num_class_embeds") and rng.random() < 0.9:
            arguments["class_labels"] = rng.choice([0, 7, 9, 10])
        if rng.random() < 0.2:
            arguments.pop("num_inference_steps")
            arguments["timesteps"] = rng.choice([[22, 0], [39, 20, 3], [17]])
    if kind == "repaint":
        arguments.update(eta=rng.choice([0.0, 0.0, 0.5, 1.0]), jump_length=rng.choice([1, 2, 3, 10]), jump_n_sample=rng.choice([1, 2, 3]))
        arguments["num_inference_steps"] = rng.choice([3, 4, 6])
        if rng.random() < 0.2:
            for image in folder.images.values():
                image.update(width=rng.choice([64, 64, 40]))
    if kind == "score":
        arguments["num_inference_steps"] = rng.choice([1, 2, 3, 5, 8])
    if kind == "classes":
        arguments.update(class_labels=[rng.choice([0, 7, 999])], guidance_scale=rng.choice([1.0, 3.0, 4.0]))
    if kind == "marigold":
        change(rng, arguments, {"num_inference_steps": [1, 3, ABSENT], "processing_resolution": [0, 8, 24, ABSENT]}, 0.25)
        if "processing_resolution" not in arguments and "default_processing_resolution" not in folder.index:
            arguments["processing_resolution"] = 16
    if "num_inference_steps" in arguments and rng.random() < 0.15:
        arguments["num_inference_steps"] += 1


def change_objects(rng, arguments):
    """Phrases and boxes, and in how many calls they are seen."""
    objects = []
    for _ in range(rng.choice([1, 1, 2, 3, 5])):
        (left, right), (top, bottom) = (sorted(rng.sample(range(21), 2)) for _ in range(2))
        phrase = rng.choice(["a red apple", "a tiny golden bird; asleep", "", "two cats, 4k!", "a cat"])
        objects.append({"phrase": phrase, "box": [left / 20, top / 20, right / 20, bottom / 20]})
    turn = rng.random()
    if turn < 0.04:
        objects *= 31
    elif turn < 0.08:
        objects[0]["box"] = rng.choice([[0.5, 0.5, 0.4, 0.9], [-0.1, 0.0, 0.5, 0.5], [0.0, 0.0, 1.0, 1.2]])
    elif turn < 0.11:
        objects[0]["phrase"] = "a " * 90
    elif turn < 0.14:
        objects = objects[:1] * 30
    arguments["gligen_objects"] = json.dumps(objects)
    if turn > 0.97:
        arguments.pop("gligen_objects")
    elif rng.random() < 0.8:
        arguments["gligen_scheduled_sampling_beta"] = rng.choice([0.0, 0.3, 0.5, 0.7, 1.0, 1.0])
    arguments["num_inference_steps"] = rng.choice([2, 3, 4, 6])


def drop_size(rng, folder, kind):
    """The model's size instead of the request's, where it is small."""
    unet = folder.config("unet") if "unet" in folder.networks else {}
    if kind in ("text", "inpaint", "variation", "xl", "consistency", "grounded") and rng.random() < 0.25:
        unet["sample_size"] = rng.choice([8, 16, 16, [8, 8]] if kind == "grounded" else [8, 16] if kind in ("xl", "consistency") else [8, 16, [8, 8], [4, 8]])
        tall = folder.networks["vae"][2].get("block_out_channels", VAE["block_out_channels"])
        if "width" in folder.arguments and kind != "inpaint" and len(tall) < 3 and str(unet.get("_diffusers_version", "1")) > "0.9.0" and rng.random() < 0.6:
            folder.arguments.pop("width"), folder.arguments.pop("height")


def change_files(rng, case):
    """How weights lie on disk."""
    components = list(case.json["weights"])
    if rng.random() < 0.15:
        if rng.random() < 0.8:
            case.json["variant"] = "fp16"
        else:
            case.json["listed"] = LONE_VARIANT
        for component in components if rng.random() < 0.7 else components[:1]:
            case.stored(component, variant="fp16", dtype=rng.choice(["F16", "F16", "F32"]))
    for component in components:
        turn = rng.random()
        if turn < 0.12:
            case.stored(component, dtype=rng.choice(["F16", "BF16"]))
        elif turn < 0.22:
            case.stored(component, shards=rng.choice([2, 3]))
        elif turn < 0.32:
            case.with_old_attention_names(component)
        elif turn < 0.36:
            case.file(f"{component}/{case.json['weights'][component]['file'].split('.')[0]}.bin", "pickled")
    if rng.random() < 0.02:
        case.json["listed"] = PICKLED
        case.stored(rng.choice(components), pickled=True)
