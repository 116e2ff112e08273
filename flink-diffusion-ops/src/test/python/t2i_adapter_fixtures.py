#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""T2I-Adapters: networks by themselves, and folders with them that are described, not stored (by itself).

    venv/bin/python t2i_adapter_fixtures.py [name ...]        # with names, only reports on those folders

Writes fixtures/folders/t2i-adapters.json.gz, which T2IAdaptersTest compares, and the first of each class to fixtures/folders/added.
"""

from fixture_tools import FIXTURES
from folder_bases import IMAGE, MASK, NEGATIVE, Folder
from folder_cases import configure, pack, reported
from ip_adapter_fixtures import SHOWN, add_adapters, see

SD, XL = "StableDiffusionAdapterPipeline", "StableDiffusionXLAdapterPipeline"
FULL = {"_class_name": "T2IAdapter", "adapter_type": "full_adapter", "channels": [8, 16], "downscale_factor": 2, "in_channels": 3, "num_res_blocks": 2}
THREE = {"block_out_channels": [8, 16, 16], "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]}
THREE_XL = {"block_out_channels": [8, 16, 16], "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]}
FULL_XL = {**FULL, "adapter_type": "full_adapter_xl", "channels": [8, 16, 16, 16], "downscale_factor": 4}
LIGHT = {**FULL, "adapter_type": "light_adapter"}


def described():
    """Name, class, the UNet's changes, the adapters' configs, and what else is changed."""
    yield "full", SD, {}, [FULL], {}
    yield "full of XL", XL, THREE_XL, [FULL_XL], {}
    yield "light", SD, THREE, [LIGHT], {}
    yield "light, four layers", SD, THREE, [{**LIGHT, "num_res_blocks": 4}], {}
    yield "full, three levels", SD, THREE, [{**FULL, "channels": [8, 16, 16]}], {}
    yield "fewer features than levels", SD, THREE, [FULL], {}
    yield "a scale", SD, {}, [FULL], dict(adapter_conditioning_scale=0.6, negative_prompt=NEGATIVE)
    yield "a negative scale", SD, {}, [FULL], dict(adapter_conditioning_scale=-0.8)
    yield "without guidance", SD, {}, [FULL], dict(guidance_scale=1.0)
    yield "of one channel", SD, {}, [{**FULL, "in_channels": 1}], dict(images=[MASK])
    yield "an image of another size", SD, {}, [FULL], dict(images=[{**IMAGE, "width": 40, "height": 26}])
    yield "two adapters", SD, {}, [FULL, FULL], dict(adapter_conditioning_scale=[0.7, 0.4])
    yield "three adapters", SD, THREE, [{**FULL, "channels": [8, 16, 16]}, LIGHT, LIGHT], dict(adapter_conditioning_scale=[0.3, 0.4, 0.5])
    yield "a wider level after one that is halved", SD, {"down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"], "layers_per_block": 2}, [{**FULL_XL, "channels": [8, 16]}], {}
    yield "Stable Diffusion 2", SD, {"use_linear_projection": True, "attention_head_dim": [2, 4], "upcast_attention": True}, [FULL], dict(scheduler={"prediction_type": "v_prediction"})
    yield "a scheduler of 2022", SD, {}, [FULL], dict(scheduler={"steps_offset": 0, "clip_sample": True})
    for name in ("EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler", "HeunDiscreteScheduler", "PNDMScheduler"):
        yield f"by {name}", SD, {}, [FULL], dict(kind=name, num_inference_steps=4)
    yield "XL, a share of the steps", XL, THREE_XL, [FULL_XL], dict(adapter_conditioning_factor=0.6, num_inference_steps=5)
    yield "XL, no step", XL, THREE_XL, [FULL_XL], dict(adapter_conditioning_factor=0.0, num_inference_steps=3)
    yield "XL by HeunDiscreteScheduler", XL, THREE_XL, [FULL_XL], dict(kind="HeunDiscreteScheduler", num_inference_steps=3)
    yield "XL, two adapters", XL, THREE_XL, [FULL_XL, FULL_XL], dict(adapter_conditioning_scale=[0.7, 0.4])
    yield "XL with an IP-Adapter", XL, THREE_XL, [FULL_XL], dict(shown="plus", adapter_conditioning_factor=0.7, num_inference_steps=4)
    yield "XL, a full adapter", XL, THREE, [{**FULL, "channels": [8, 16, 16]}], {}
    yield "other widths", SD, {}, [{**FULL, "channels": [16, 16]}], {}
    yield "other sizes", SD, {}, [{**FULL, "downscale_factor": 4}], {}
    yield "other channels of the image", SD, {}, [FULL], dict(images=[MASK])


def made(seed, name, pipeline, unet, configs, changes):
    changes = dict(changes)
    folder = Folder("StableDiffusionXLPipeline" if pipeline == XL else "StableDiffusionPipeline")
    folder.pipeline = pipeline
    folder.index.pop("add_watermarker", None)
    if pipeline == SD:
        folder.index.pop("image_encoder")
    folder.config("unet").update(unet)
    folder.config("scheduler").update(changes.pop("scheduler", {}))
    if "kind" in changes:
        folder.scheduler({**folder.config("scheduler"), "_class_name": changes.pop("kind")})
    for i, config in enumerate(configs):
        folder.network(f"adapter_{i}" if i else "adapter", "diffusers", "MultiAdapter" if len(configs) > 1 else "T2IAdapter", config)
    images = changes.pop("images", [{**IMAGE, "seed": 31 + i} for i in range(len(configs))])
    for i, image in enumerate(images):
        folder.images["adapter_image" + (f"_{i + 1}" if i else "")] = image
    kind = changes.pop("shown", None)
    if kind:
        see(folder)
        folder.images["ip_adapter_image"] = SHOWN
    folder.arguments.update(changes)
    case = folder.case(name, seed)
    if kind:
        add_adapters(case, folder, [kind])
    return case.expect((seed,))


def main():
    configure()
    cases = reported(described(), made, 1001)
    if cases:
        folders = FIXTURES.parent / "folders"
        pack(cases, folders / "t2i-adapters.json.gz")
        pack(cases[:2], folders / "added" / f"{SD}.json.gz")


if __name__ == "__main__":
    main()
