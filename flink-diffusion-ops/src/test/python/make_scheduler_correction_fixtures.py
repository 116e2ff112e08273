#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes what diffusers' pipelines make of folders whose scheduler config is old, odd or of another class than model_index.json names.

    python make_scheduler_correction_fixtures.py       # after make_model_fixtures.py, whose folders it changes

Each case is a tiny folder of the others with another scheduler_config.json (a whole one, absent keys are absent) and
another class in model_index.json, loaded by ``from_pretrained`` as the pipeline class of the case. ``request`` is the
scheduler class that a request asks for instead: ``pipe.scheduler = Other.from_config(pipe.scheduler.config)``. Kept are the
timesteps and every 23rd value of the picture. See SchedulerCorrectionsParityTest.
"""

import base64
import json
import logging
import shutil
import tempfile
import warnings
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers.utils import logging as diffusers_logging
from PIL import Image

from fixture_tools import FIXTURES, configure_torch
from pipeline_runs import hole, painting

OUT = FIXTURES.parent / "scheduler" / "corrections.json"
STRIDE = 23
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "set_alpha_to_one": False}
TEXT, IMAGE, INPAINT = "StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline"

CASES = []


def case(name, pipeline, scheduler, config, *, folder="tiny-sd1", file_class=None, request=None, **arguments):
    CASES.append(
        {
            "name": name,
            "folder": folder,
            "pipeline": pipeline,
            "scheduler": scheduler,
            "config": {"_class_name": file_class or scheduler, **config},
            "request": request,
            "arguments": arguments,
        }
    )


def text(name, scheduler, config, steps=5, **more):
    case(name, TEXT, scheduler, {**SD, **config}, num_inference_steps=steps, **more)


def image(name, scheduler, config, **more):
    case(name, IMAGE, scheduler, {**SD, **config}, num_inference_steps=6, strength=0.7, **more)


def inpaint(name, scheduler, config, **more):
    case(name, INPAINT, scheduler, {**SD, **config}, num_inference_steps=6, strength=0.8, **more)


OLD = {"steps_offset": 0, "clip_sample": True, "skip_prk_steps": False}

# A text: steps_offset 1 and clip_sample false, skip_prk_steps as it is.
text("text_pndm_absent", "PNDMScheduler", {})
text("text_pndm_old", "PNDMScheduler", OLD)
text("text_pndm_skips", "PNDMScheduler", {"skip_prk_steps": True})
text("text_ddim_absent", "DDIMScheduler", {})
text("text_ddim_old", "DDIMScheduler", OLD)
text("text_ddim_null", "DDIMScheduler", {"steps_offset": None, "clip_sample": None})
text("text_ddim_trailing", "DDIMScheduler", {"timestep_spacing": "trailing"})
text("text_ddpm_absent", "DDPMScheduler", {})
text("text_lcm_clips", "LCMScheduler", {"clip_sample": True, "clip_sample_range": 0.3}, steps=4)
text("text_heun_clips", "HeunDiscreteScheduler", {"clip_sample": True, "clip_sample_range": 0.3, "timestep_spacing": "leading"})
text("text_euler_leading", "EulerDiscreteScheduler", {"timestep_spacing": "leading"})
text("text_dpm_leading_offset_5", "DPMSolverMultistepScheduler", {"timestep_spacing": "leading", "steps_offset": 5})
# Another class is made of the corrected config, without what stood for absent keys.
text("text_switched_absent", "PNDMScheduler", {}, request="DDIMScheduler")
text("text_switched_old", "PNDMScheduler", OLD, request="DDIMScheduler")
text("text_switched_to_pndm", "DDIMScheduler", {"steps_offset": 0}, request="PNDMScheduler")
text("text_switched_leading", "DDIMScheduler", {"timestep_spacing": "leading"}, request="EulerDiscreteScheduler")
# Solver names of another family are renamed when the first class reads them.
text("text_deis_to_dpm", "DEISMultistepScheduler", {"solver_type": "heun", "algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"}, request="DPMSolverMultistepScheduler")
text("text_unipc_to_dpm", "UniPCMultistepScheduler", {"solver_type": "heun"}, request="DPMSolverMultistepScheduler")
text("text_dpm_to_unipc", "DPMSolverMultistepScheduler", {"solver_type": "bh1"}, request="UniPCMultistepScheduler")
text("text_heun_to_unipc", "DPMSolverMultistepScheduler", {"solver_type": "heun"}, request="UniPCMultistepScheduler")
# An image: as with a text alone.
image("image_ddim_old", "DDIMScheduler", OLD)
image("image_pndm_absent", "PNDMScheduler", {})
image("image_switched_absent", "PNDMScheduler", {}, request="DDIMScheduler")
image("image_switched_old", "PNDMScheduler", OLD, request="DDIMScheduler")
image("image_switched_to_pndm", "DDIMScheduler", OLD, request="PNDMScheduler")
image("image_switched_leading", "DDIMScheduler", {"timestep_spacing": "leading"}, request="EulerDiscreteScheduler")
image("image_switched_to_heun", "EulerDiscreteScheduler", {"steps_offset": 0, "clip_sample": True}, request="HeunDiscreteScheduler")
# A mask: steps_offset 1 and skip_prk_steps true, clip_sample as it is.
inpaint("mask_pndm_absent", "PNDMScheduler", {})
inpaint("mask_pndm_old", "PNDMScheduler", OLD)
inpaint("mask_ddim_old", "DDIMScheduler", OLD)
inpaint("mask_ddim_absent", "DDIMScheduler", {})
inpaint("mask_switched_to_pndm", "DDIMScheduler", OLD, request="PNDMScheduler")
inpaint("mask_pndm_null", "PNDMScheduler", {"skip_prk_steps": True, "steps_offset": None})
# The known part lies at the next sigma also where a second-order step is half done.
for scheduler in ("KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "HeunDiscreteScheduler"):
    inpaint("mask_" + scheduler, scheduler, {})
    inpaint("mask_karras_" + scheduler, scheduler, {"use_karras_sigmas": True})
for scheduler in ("EulerDiscreteScheduler", "LMSDiscreteScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler",
                  "UniPCMultistepScheduler", "DEISMultistepScheduler", "DDPMScheduler", "EulerAncestralDiscreteScheduler"):
    inpaint("mask_" + scheduler, scheduler, {})
# model_index.json names the class, whatever the config says.
text("index_ddim_file_pndm", "DDIMScheduler", {"skip_prk_steps": True, "steps_offset": 1, "clip_sample": False}, file_class="PNDMScheduler")
text("index_euler_file_ddim", "EulerDiscreteScheduler", {"steps_offset": 1}, file_class="DDIMScheduler")
text("index_dpm_file_unknown", "DPMSolverMultistepScheduler", {}, file_class="NoSuchScheduler")
text("index_euler_switched", "EulerDiscreteScheduler", {"steps_offset": 1, "skip_prk_steps": True}, file_class="DDIMScheduler", request="PNDMScheduler")
# Pipelines that correct nothing.
for folder, pipeline, arguments in (
    ("tiny-instruct-pix2pix", "StableDiffusionInstructPix2PixPipeline", dict(num_inference_steps=4)),
    ("tiny-x4-upscaler", "StableDiffusionUpscalePipeline", dict(num_inference_steps=3)),
    ("tiny-sdxl", "StableDiffusionXLPipeline", dict(num_inference_steps=4)),
    ("tiny-image-variation", "StableDiffusionImageVariationPipeline", dict(num_inference_steps=4)),
    ("tiny-ldm-super-resolution", "LDMSuperResolutionPipeline", dict(num_inference_steps=4)),
    ("tiny-dit", "DiTPipeline", dict(num_inference_steps=4)),
    ("tiny-marigold-depth", "MarigoldDepthPipeline", dict(num_inference_steps=3)),
    ("tiny-marigold-normals", "MarigoldNormalsPipeline", dict(num_inference_steps=3)),
    ("tiny-lcm", "LatentConsistencyModelPipeline", dict(num_inference_steps=3)),
):
    scheduler = "LCMScheduler" if folder == "tiny-lcm" else "DDIMScheduler"
    case("uncorrected_" + folder, pipeline, scheduler, {**SD, "clip_sample": True, "clip_sample_range": 0.8, "steps_offset": 3}, folder=folder, **arguments)
# DDIMPipeline makes a DDIMScheduler of whatever the folder has.
case("ddim_of_ddpm", "DDIMPipeline", "DDPMScheduler", {"beta_schedule": "linear", "steps_offset": 2}, folder="tiny-ddpm", num_inference_steps=4)
case("ddim_of_pndm", "DDIMPipeline", "PNDMScheduler", {"beta_schedule": "scaled_linear", "timestep_spacing": "trailing"}, folder="tiny-ddpm", num_inference_steps=4)
case("ddpm_of_ddim", "DDPMPipeline", "DDIMScheduler", {"clip_sample": False}, folder="tiny-ddpm", num_inference_steps=4)


def folder_of(one, target):
    source = FIXTURES / one["folder"]
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("golden"))
    index = json.loads((target / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", one["scheduler"]]
    (target / "model_index.json").write_text(json.dumps(index))
    (target / "scheduler" / "scheduler_config.json").write_text(json.dumps(one["config"]))


def inputs(one):
    """What a call of the pipeline takes besides its scheduler and steps."""
    given = {}
    pipeline = one["pipeline"]
    pictured = ("Img2Img", "Inpaint", "Pix2Pix", "Upscale", "Variation", "SuperResolution", "Marigold")
    if any(word in pipeline for word in pictured):
        small = "Upscale" in pipeline or "SuperResolution" in pipeline
        given["image"] = painting(32, 32, 1) if small else painting(64, 64, 1)
    if "Inpaint" in pipeline:
        given["mask_image"] = hole(64, 64)
    if "StableDiffusion" in pipeline and "Variation" not in pipeline or "LatentConsistency" in pipeline:
        given["prompt"] = "a red apple on a blue background"
    if pipeline in (TEXT, "StableDiffusionXLPipeline", "LatentConsistencyModelPipeline"):
        given.update(height=64, width=64)
    if pipeline == "DiTPipeline":
        given["class_labels"] = [1]
    return given


def run(one):
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary) / "folder"
        folder_of(one, target)
        options = {"safety_checker": None} if one["folder"] in ("tiny-sd1", "tiny-lcm", "tiny-instruct-pix2pix", "tiny-image-variation") else {}
        if one["folder"] == "tiny-sdxl":
            options = {"add_watermarker": False}
        pipe = getattr(diffusers, one["pipeline"]).from_pretrained(target, torch_dtype=torch.float32, **options)
        pipe.set_progress_bar_config(disable=True)
        if one["request"]:
            pipe.scheduler = getattr(diffusers, one["request"]).from_config(pipe.scheduler.config)
        given = {**inputs(one), **one["arguments"], "output_type": "np", "generator": torch.Generator().manual_seed(41)}
        if "Marigold" in one["pipeline"]:
            given.update(ensemble_size=1, match_input_resolution=False, processing_resolution=0)
        result = pipe(**given)
        picture = result.prediction if "Marigold" in one["pipeline"] else result.images
        picture = np.asarray(picture)[0].transpose(2, 0, 1)
        if "Normals" in one["pipeline"]:
            picture = (picture + 1) / 2
        timesteps = pipe.scheduler.timesteps
    return timesteps, picture


def plain(given):
    return {key: value for key, value in given.items() if isinstance(value, (int, float, str, list))}


def kept_image(image, kept):
    """Keeps an image once, as base64 of its bytes, channels first, and says under which name."""
    values = np.asarray(image)
    values = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    name = "x".join(map(str, values.shape))
    kept[name] = base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
    return name


def b64(values):
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def main():
    configure_torch()
    logging.disable(logging.CRITICAL)
    warnings.filterwarnings("ignore")
    diffusers_logging.set_verbosity(diffusers_logging.CRITICAL)
    lines, kept = [], {}
    for one in CASES:
        timesteps, picture = run(one)
        assert np.isfinite(picture).all() and picture.std() > 0.01, one["name"]
        one["arguments"] = {**plain(inputs(one)), **one["arguments"]}
        one["inputs"] = {key: kept_image(value, kept) for key, value in inputs(one).items() if isinstance(value, Image.Image)}
        one["shape"] = list(picture.shape)
        one["timesteps"] = [float(t) for t in timesteps]
        one["picture"] = b64(picture.ravel()[::STRIDE])
        lines.append(json.dumps(one, separators=(",", ":")))
        print(one["name"], picture.shape, f"std {picture.std():.3f}")
    OUT.write_text('{"stride":%d,"images":%s,"cases":[\n%s\n]}\n' % (STRIDE, json.dumps(kept), ",\n".join(lines)))
    print(OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
