#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Which row of docs/DIFFERENCES.md a drawn case falls under: it names the row's first cell. RandomFolders counts such a case apart if it
differs, and only then.
"""

import json
import re

from folder_bases import kind_of

PICKLED = "Pickled weights (`.bin`, `.ckpt`)"
EMBEDDED_GUIDANCE = "Networks with `time_cond_proj_dim`, in the pipelines of Stable Diffusion 1.x and 2.x and XL"
IGNORED_GUIDANCE = "Networks with `time_cond_proj_dim`, in the other pipelines"
LONE_VARIANT = "Weights that exist as one variant alone, which is not asked for"

# Why diffusers refuses what we take, by its own words, and the row that says so.
REFUSED_THERE = {
    r"divisible by 8": "Sides of the image, autoencoders whose factor is below 8",
    r"'FlowMatch.*' object has no attribute '(init_noise_sigma|add_noise)'": "`FlowMatchEulerDiscreteScheduler` in a pipeline of Stable Diffusion",
    r"expected shape .*but got torch.Size\(\[\d+, \d+, 1, 1\]\)": "Attention of autoencoders and pixel networks stored as 1x1 convolutions",
    r"'<' not supported between instances of 'list' and 'int'": "`sample_size` as a list in SDXL, image variation and latent consistency models",
    r"unsupported operand type.s. for %: 'list' and 'int'": "`sample_size` as a list in `StableDiffusionGLIGENPipeline`",
    r"failed to unpack the object at pos 3 with error .type must be tuple of ints,but got list": "`sample_size` as a list in `ConsistencyModelPipeline` and `ScoreSdeVePipeline`",
    r"Input type .double. and bias type .float.": "`ConsistencyModelPipeline`, `time_embedding_type` = `fourier`, more than one step",
    r"should have either 4 or 9 input channels": "Inpainting, autoencoders of other than 4 latent channels",
    r"'NoneType' object has no attribute 'parameters'|object has no attribute 'post_quant_conv'": "x4 upscaler, an autoencoder without `post_quant_conv`",
}
NOT_FINITE_THERE = {
    "KDPM2AncestralDiscreteScheduler": "`KDPM2AncestralDiscreteScheduler`, steps from a sigma more than about a thousand times the next one (cosine betas; few steps)",
    "UniPCMultistepScheduler": "`UniPCMultistepScheduler`, `solver_type` = `bh1`, `final_sigmas_type` = `zero`",
}
NOT_CONSISTENT = "`ConsistencyModelPipeline` with another scheduler than `CMStochasticIterativeScheduler`"
OLD_ADDED_KEYS = "Attention with added keys (`SimpleCrossAttn` blocks) under its old names (`query`, `proj_attn`)"
GLOBAL_PATH = "`DPMSolverSDEScheduler` without `noise_sampler_seed`"
NO_OBJECTS = "`StableDiffusionGLIGENPipeline`, no objects"
MANY_OBJECTS = "`StableDiffusionGLIGENPipeline`, more than 30 objects"
ODD_BOXES = "`StableDiffusionGLIGENPipeline`, boxes that end before they begin or leave 0 to 1"
OTHER_LATENT = "`StableDiffusionGLIGENPipeline`, autoencoders of other than 4 latent channels"
NOT_CLEAN = "x2 latent upscaler, other schedulers than `EulerDiscreteScheduler`, or another `prediction_type` than `sample`"
NO_CLASS = "`ConsistencyModelPipeline` with classes, no class named"
EMBEDDED_CLASS = "`ConsistencyModelPipeline`, `class_embed_type` beside `num_class_embeds`"
OTHER_SCHEDULER = "`RePaintPipeline` and `ScoreSdeVePipeline`, a folder with another scheduler"
REPAINT_SIDES = "`RePaintPipeline`, sides that are no multiples of 8"
NO_NOISE_LEVEL = "x4 upscaler, a UNet without `num_class_embeds`"
SIZE_OF_IMAGE = "Inpainting without width and height"
TIE = "`VQModel`, two codes as near as float32 can tell"
NO_SIGNAL_LATER = "`rescale_betas_zero_snr` with epsilon prediction, image to image or listed timesteps"
SHIFT_ALONE = "Marigold, `shift_invariant` without `scale_invariant`"
NO_SIGNAL = "`rescale_betas_zero_snr` with epsilon prediction and `clip_sample` or `thresholding`"


def listed(folder, case):
    """Names the row that says that and why we differ, if one does."""
    unet, arguments = folder.networks.get("unet", [0, 0, {}])[2], folder.arguments
    name, scheduler = folder.schedulers["scheduler"]
    rows = []
    if unet.get("time_cond_proj_dim") and kind_of(folder.pipeline) not in ("grounded", "doubling"):
        rows += [EMBEDDED_GUIDANCE] * (any(name.startswith("negative_") or name == "guidance_rescale" for name in arguments))
    if unet.get("time_cond_proj_dim"):
        rows += [IGNORED_GUIDANCE] * (kind_of(folder.pipeline) in ("instruct", "upscale", "variation", "marigold", "grounded"))
    if kind_of(folder.pipeline) == "grounded":
        objects = json.loads(arguments.get("gligen_objects", "[]"))
        rows += [NO_OBJECTS] * (not objects)
        rows += [MANY_OBJECTS] * (len(objects) > 30)
        rows += [ODD_BOXES] * any(not (0 <= left < right <= 1 and 0 <= top < bottom <= 1) for left, top, right, bottom in (each["box"] for each in objects))
        rows += [OTHER_LATENT] * (unet.get("in_channels") != 4)
    if kind_of(folder.pipeline) == "doubling":
        rows += [NOT_CLEAN] * (name != "EulerDiscreteScheduler" or scheduler.get("prediction_type") not in ("sample", "original_sample"))
    if scheduler.get("rescale_betas_zero_snr") and (scheduler.get("clip_sample", name in ("DDIMScheduler", "LCMScheduler")) or scheduler.get("thresholding")):
        rows.append(NO_SIGNAL)
    elif scheduler.get("rescale_betas_zero_snr") and scheduler.get("prediction_type", "epsilon") == "epsilon" and ("strength" in arguments or "timesteps" in arguments):
        rows.append(NO_SIGNAL_LATER)
    rows += [GLOBAL_PATH] * (name == "DPMSolverSDEScheduler" and scheduler.get("noise_sampler_seed") is None)
    if kind_of(folder.pipeline) == "upscale" and not unet.get("num_class_embeds"):
        rows.append(NO_NOISE_LEVEL)
    tensors = case.json["weights"].get("unet", {}).get("tensors", {})
    if "SimpleCrossAttn" in str(unet.get("down_block_types")) + str(unet.get("up_block_types")) + str(unet.get("mid_block_type")):
        rows += [OLD_ADDED_KEYS] * any(".query." in name for name in tensors)
    if kind_of(folder.pipeline) == "onestep":
        rows += [NOT_CONSISTENT] * (name != "CMStochasticIterativeScheduler")
        rows += [EMBEDDED_CLASS] * bool(unet.get("class_embed_type") and unet.get("num_class_embeds"))
        rows += [NO_CLASS] * (bool(unet.get("num_class_embeds")) and "class_labels" not in arguments)
    if kind_of(folder.pipeline) in ("repaint", "score"):
        rows += [OTHER_SCHEDULER] * (name not in ("RePaintScheduler", "ScoreSdeVeScheduler"))
        rows += [REPAINT_SIDES] * any(image["width"] % 32 or image["height"] % 32 for image in folder.images.values())
    elif "mask_image" in folder.images and "width" not in arguments:
        rows.append(SIZE_OF_IMAGE)
    if folder.index.get("shift_invariant", True) and not folder.index.get("scale_invariant", True):
        rows.append(SHIFT_ALONE)
    rows += [TIE] * any("tie" in expected for expected in case.json["expected"])
    for expected in case.json["expected"]:
        refused = expected.get("refused", "")
        rows += [row for words, row in REFUSED_THERE.items() if re.search(words, refused)]
        if "not finite" in refused and name in NOT_FINITE_THERE:
            rows.append(NOT_FINITE_THERE[name])
    if rows:
        case.json["listed"] = rows[0]
    return case
