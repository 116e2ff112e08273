#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""ControlNets: networks by themselves, and folders with them that are described, not stored (by itself).

    venv/bin/python control_fixtures.py [name ...]        # with names, only reports on those folders

Writes fixtures/models/networks-control and networks-control.json, and fixtures/folders/added/StableDiffusionControlNetPipeline.json.gz.
"""

import sys

import torch
from diffusers import ControlNetModel

import tiny_models as tiny
from fixture_tools import FIXTURES, Goldens, fresh_folder, seeded, store_half, write_json
from folder_bases import CONTROL, IMAGE, MASK, NEGATIVE, Folder
from folder_cases import configure, pack, reported

TEXT, FROM_IMAGE, INPAINT = (f"StableDiffusionControlNet{kind}Pipeline" for kind in ("", "Img2Img", "Inpaint"))
NETWORK = {
    "attention_head_dim": 2,
    "block_out_channels": (8, 8, 16),
    "conditioning_embedding_out_channels": (4, 8),
    "cross_attention_dim": 16,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "layers_per_block": 2,
    "norm_num_groups": 4,
}


def networks():
    yield "sd1", NETWORK, "as ControlNets of Stable Diffusion 1.5"
    yield "sd2", {**NETWORK, "attention_head_dim": (2, 4, 4), "conditioning_embedding_out_channels": (4, 4, 4, 8), "use_linear_projection": True, "upcast_attention": True}, "as those of 2.1"
    xl = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 68, "transformer_layers_per_block": (1, 2, 3)}
    yield "xl", {**NETWORK, **xl, "use_linear_projection": True, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D")}, "as those of XL"
    yield "pooled", {**NETWORK, "global_pool_conditions": True, "controlnet_conditioning_channel_order": "bgr", "mid_block_type": "UNetMidBlock2D"}, "means of residuals, blue first, a middle without attention"


def network_case(name, config, notes, seed):
    folder = fresh_folder(FIXTURES / "networks-control" / name)
    tiny.finish(ControlNetModel(**config), seed).save_pretrained(folder)
    store_half(folder)
    model = ControlNetModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
    goldens = Goldens(f"networks-control/{name}", "ControlNetModel", f"networks-control/{name}/diffusion_pytorch_model.safetensors", "F16", f"networks-control/{name}/golden.safetensors", notes)
    generator, factor = seeded(seed), 2 ** (len(model.config.conditioning_embedding_out_channels) - 1)
    for case, timestep, (height, width) in (("t500", 500.0, (4, 8)), ("odd", 250.5, (5, 7))):
        sample = torch.randn(2, 4, height, width, generator=generator)
        given = {"encoder_hidden_states": torch.randn(2, 9, 16, generator=generator)}
        added = {}
        if model.config.addition_embed_type:
            added = {"text_embeds": torch.randn(2, 20, generator=generator), "time_ids": torch.rand(2, 6, generator=generator) * 512}
        image = torch.rand(2, 3, factor * height, factor * width, generator=generator)
        down, middle = model(sample, torch.tensor(timestep), **given, controlnet_cond=image, added_cond_kwargs=added, return_dict=False)
        residuals = [*down, middle]
        scales = torch.rand(2, len(residuals), generator=generator) * 2 - 0.5
        flat = torch.cat([(each * scales[:, i, None, None, None]).flatten(1) for i, each in enumerate(residuals)], 1)
        goldens.case(case, "forward", {"sample": sample, "timestep": torch.tensor(timestep), **given, **added, "controlnet_cond": image, "scales": scales}, {"residuals": flat})
    return goldens.write(FIXTURES)


def cases():
    """Pairs of the case's name and a folder under construction."""

    def folder(name, pipeline=TEXT, unet=None, scheduler=None, networks=None, **arguments):
        made = Folder(pipeline)
        made.config("unet").update(unet or {})
        made.config("controlnet").update(networks or {})
        made.config("scheduler").update(scheduler or {})
        made.arguments.update(arguments)
        return name, made

    # The steps' offset and the clipping of the file count: these pipelines correct nothing.
    for pipeline in (TEXT, FROM_IMAGE, INPAINT):
        yield folder("plain " + pipeline, pipeline)
        yield folder("a scheduler of 2022, " + pipeline, pipeline, scheduler={"steps_offset": 0, "clip_sample": True})
        yield folder("scale and share of steps, " + pipeline, pipeline, controlnet_conditioning_scale=0.6, control_guidance_start=0.3, control_guidance_end=0.8, num_inference_steps=6)
        yield folder("guess mode, " + pipeline, pipeline, guess_mode=True, negative_prompt=NEGATIVE)
        yield folder("guess mode without guidance, " + pipeline, pipeline, guess_mode=True, guidance_scale=1.0)
    yield folder("without guidance", guidance_scale=1.0, clip_skip=1)
    yield folder("a negative scale", controlnet_conditioning_scale=-0.7)
    yield folder("a scale of zero", controlnet_conditioning_scale=0.0)
    for cls in ("PNDMScheduler", "HeunDiscreteScheduler", "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler", "LCMScheduler"):
        name, made = folder("by " + cls, num_inference_steps=5, control_guidance_end=0.5)
        made.scheduler({"_class_name": cls, "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000})
        yield name, made

    for pipeline in (TEXT, FROM_IMAGE, INPAINT):
        name, made = folder("two networks, " + pipeline, pipeline, controlnet_conditioning_scale=[0.8, 0.4], control_guidance_start=[0.0, 0.25], control_guidance_end=[0.6, 1.0], num_inference_steps=6)
        made.several({})
        made.images["control_image_2"] = {**IMAGE, "seed": 5}
        yield name, made
    name, made = folder("three networks in guess mode", controlnet_conditioning_scale=0.5, guess_mode=True)
    made.several({}, {"global_pool_conditions": True})
    made.images.update(control_image_2={**IMAGE, "seed": 5}, control_image_3={**IMAGE, "seed": 6})
    yield name, made

    yield folder("means of residuals", networks={"global_pool_conditions": True})
    yield folder("blue first", networks={"controlnet_conditioning_channel_order": "bgr"})
    yield folder("a middle without attention", networks={"mid_block_type": "UNetMidBlock2D"})
    yield folder("more layers of transformers in the ControlNet", networks={"transformer_layers_per_block": 2})
    yield folder("heads of its own", networks={"attention_head_dim": [4, 2]})
    linear = {"use_linear_projection": True, "attention_head_dim": [2, 4], "upcast_attention": True}
    yield folder("Stable Diffusion 2", unet=linear, networks=linear, scheduler={"prediction_type": "v_prediction"})
    yield folder("a network that takes the mask", INPAINT, unet={"in_channels": 9}, strength=0.8)

    # A control image of another size is resized; without a size, the result has the control image's.
    name, made = folder("a control image of another size")
    made.images["control_image_1"].update(width=40, height=26)
    yield name, made
    name, made = folder("the size of the control image")
    made.images["control_image_1"].update(width=23, height=18)
    for side in ("width", "height"):
        made.arguments.pop(side)
    yield name, made

    # What does not fit.
    yield folder("a ControlNet of other widths", networks={"block_out_channels": [8, 8]})
    yield folder("a ControlNet of another context", networks={"cross_attention_dim": 24})
    yield folder("a control image that is made too small", networks={"conditioning_embedding_out_channels": [8, 8, 12]})
    yield folder("an end before the start", control_guidance_start=0.7, control_guidance_end=0.3)
    name, made = folder("scales of three for two networks", controlnet_conditioning_scale=0.5, control_guidance_start=[0.0, 0.1, 0.2])
    made.several({})
    made.images["control_image_2"] = {**IMAGE, "seed": 5}
    yield name, made


def main():
    configure()
    if not sys.argv[1:]:
        fresh_folder(FIXTURES / "networks-control")
        entries = [network_case(*each, seed=701 + i) for i, each in enumerate(networks())]
        write_json(FIXTURES / "networks-control.json", {"networks": entries})
    made = reported(cases(), lambda seed, name, folder: folder.case(name, seed).expect((seed,)), 1)
    if made:
        pack(made, FIXTURES.parent / "folders" / "added" / f"{TEXT}.json.gz")


if __name__ == "__main__":
    main()
