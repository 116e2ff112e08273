#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""IP-Adapters: folders with them that are described, not stored, and what diffusers makes of them.

    venv/bin/python ip_adapter_fixtures.py [name ...]        # with names, only reports on those folders

Writes fixtures/folders/ip-adapters.json.gz, which ImagePromptsTest compares.
"""

import json

import torch
from diffusers import UNet2DConditionModel

from fixture_tools import FIXTURES
from folder_bases import IMAGE, NEGATIVE, VISION, PROCESSOR, Folder
from folder_cases import configure, pack, reported, shapes_of

SHOWN = {"kind": "painting", "width": 40, "height": 33, "seed": 21}
SD, FROM_IMAGE, INPAINT, CONTROLLED = "StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline", "StableDiffusionControlNetPipeline"
XL, LCM = "StableDiffusionXLPipeline", "LatentConsistencyModelPipeline"
QUERIES, HIDDEN, HEADS = 3, 24, 2


def projection(kind, vision, context):
    embedding, hidden = vision["projection_dim"], vision["hidden_size"]
    if kind == "plain":
        return {"proj.weight": [4 * context, embedding], "proj.bias": [4 * context], "norm.weight": [context], "norm.bias": [context]}
    if kind == "full":
        return {
            "proj.0.weight": [hidden, hidden], "proj.0.bias": [hidden], "proj.2.weight": [context, hidden], "proj.2.bias": [context],
            "proj.3.weight": [context], "proj.3.bias": [context],
        }
    if kind == "faceid":
        return {"proj.0.weight": [32, 16], "proj.0.bias": [32], "proj.2.weight": [4 * context, 32], "proj.2.bias": [4 * context], "norm.weight": [context], "norm.bias": [context]}
    shapes = {
        "latents": [1, QUERIES, HIDDEN], "proj_in.weight": [HIDDEN, hidden], "proj_in.bias": [HIDDEN], "proj_out.weight": [context, HIDDEN],
        "proj_out.bias": [context], "norm_out.weight": [context], "norm_out.bias": [context],
    }
    inner = 64 * HEADS
    for i in range(4):
        for norm in ("0.norm1", "0.norm2", "1.0"):
            shapes.update({f"layers.{i}.{norm}.weight": [HIDDEN], f"layers.{i}.{norm}.bias": [HIDDEN]})
        shapes.update({f"layers.{i}.0.to_q.weight": [inner, HIDDEN], f"layers.{i}.0.to_kv.weight": [2 * inner, HIDDEN], f"layers.{i}.0.to_out.weight": [HIDDEN, inner]})
        shapes.update({f"layers.{i}.1.1.weight": [4 * HIDDEN, HIDDEN], f"layers.{i}.1.3.weight": [HIDDEN, 4 * HIDDEN]})
    return shapes


def adapter(kind, unet, vision, context=None):
    """The shapes of a file's tensors, under its authors' names."""
    context = context or unet["cross_attention_dim"]
    with torch.device("meta"):
        network = UNet2DConditionModel.from_config(unet)
    tensors = {"image_proj." + name: shape for name, shape in projection(kind, vision, context).items()}
    number = 1
    for name in network.attn_processors:
        if not name.endswith("attn1.processor"):
            channels = network.get_submodule(name.removesuffix(".processor")).to_k.weight.shape[0]
            for each in ("to_k_ip", "to_v_ip"):
                tensors[f"ip_adapter.{number}.{each}.weight"] = [channels, context]
            number += 2
    return tensors


def see(folder, vision=VISION):
    """Gives a folder an image encoder."""
    folder.index.pop("image_encoder", None)
    folder.network("image_encoder", "transformers", "CLIPVisionModelWithProjection", vision)
    folder.index.pop("feature_extractor", None)
    # Resizes as Pillow does; torchvision rounds one pixel in 200 otherwise.
    folder.processors["feature_extractor"] = ["CLIPImageProcessorPil", dict(PROCESSOR)]


def add_adapters(case, folder, kinds, vision=VISION, context=None):
    """Lays files of IP-Adapters beside a folder."""
    case.json["ip_adapters"] = []
    for i, kind in enumerate(kinds):
        place = "adapters" if i == 0 else f"adapters{i}"
        case.json["weights"][place] = {"file": f"ip-{kind}.safetensors", "tensors": adapter(kind, folder.config("unet"), vision, context)}
        case.json["ip_adapters"].append(f"{place}/ip-{kind}.safetensors")


def made(name, seed, pipeline=SD, kinds=("plain",), unet=None, vision=None, beside=False, scheduler=None, images=1, context=None, change=None, **arguments):
    folder = Folder(pipeline)
    folder.config("unet").update(unet or {})
    folder.config("scheduler").update(scheduler or {})
    own = {**VISION, **(vision or {})}
    if not beside:
        see(folder, own)
    folder.arguments.update(arguments)
    for i in range(max(images, len(kinds) if images else 0)):
        folder.images["ip_adapter_image" + (f"_{i + 1}" if i else "")] = {**SHOWN, "seed": 21 + i, "width": 40 - 5 * i}
    if change:
        change(folder)
    case = folder.case(name, seed)
    if beside:
        case.json["files"]["adapters/image_encoder/config.json"] = json.dumps(own)
        case.json["weights"]["adapters/image_encoder"] = {"file": "model.safetensors", "tensors": shapes_of("transformers", "CLIPVisionModelWithProjection", own)}
    add_adapters(case, folder, kinds, own, context)
    return case.expect((seed,))


def described():
    """Each as ``made`` takes it."""
    yield "plain", {}
    yield "plus", dict(kinds=("plus",))
    yield "full face", dict(kinds=("full",))
    yield "an encoder beside the file", dict(beside=True)
    yield "plus with an encoder beside the file", dict(kinds=("plus",), beside=True)
    for kind in ("plain", "plus"):
        yield f"{kind}, without a prompt", dict(kinds=(kind,), prompt="")
        yield f"{kind}, a scale", dict(kinds=(kind,), ip_adapter_scale=[0.6], negative_prompt=NEGATIVE)
        yield f"{kind}, without guidance", dict(kinds=(kind,), guidance_scale=1.0)
        yield f"{kind}, two images", dict(kinds=(kind,), images=2)
        yield f"{kind}, from an image", dict(kinds=(kind,), pipeline=FROM_IMAGE)
        yield f"{kind}, a part of an image", dict(kinds=(kind,), pipeline=INPAINT)
        yield f"{kind}, with a ControlNet", dict(kinds=(kind,), pipeline=CONTROLLED)
        yield f"{kind}, with two ControlNets", dict(kinds=(kind,), pipeline=CONTROLLED, change=two_controls)
        yield f"{kind} of XL", dict(kinds=(kind,), pipeline=XL)
        yield f"{kind} of XL, two images without a prompt", dict(kinds=(kind,), pipeline=XL, images=2, prompt="")
        yield f"{kind} of XL, from an image", dict(kinds=(kind,), pipeline="StableDiffusionXLImg2ImgPipeline", beside=True)
        yield f"{kind} of a latent consistency model", dict(kinds=(kind,), pipeline=LCM)
    yield "a scale of zero", dict(ip_adapter_scale=[0.0])
    yield "a negative scale", dict(ip_adapter_scale=[-0.5])
    yield "two adapters", dict(kinds=("plain", "plus"))
    yield "two adapters with scales", dict(kinds=("plus", "plain"), ip_adapter_scale=[0.3, 0.9])
    yield "one of two adapters", dict(kinds=("plain", "full"), ip_adapter_scale=[0.0, 0.7])
    yield "two of the same", dict(kinds=("plain", "plain"))
    yield "three adapters of XL", dict(pipeline=XL, kinds=("full", "plain", "plus"), ip_adapter_scale=[0.5, 0.2, 0.9])
    yield "three images", dict(images=3)
    linear = {"use_linear_projection": True, "attention_head_dim": [2, 4], "upcast_attention": True}
    yield "Stable Diffusion 2", dict(unet=linear, scheduler={"prediction_type": "v_prediction"})
    yield "deeper transformers", dict(unet={"transformer_layers_per_block": [2, 1], "layers_per_block": 2})
    yield "attention on every level", dict(unet={"down_block_types": ["CrossAttnDownBlock2D"] * 2, "up_block_types": ["CrossAttnUpBlock2D"] * 2}, kinds=("plus",))
    yield "context alone", dict(unet={"only_cross_attention": True})
    yield "a middle without attention", dict(unet={"mid_block_type": "UNetMidBlock2D"})
    yield "an encoder of other sizes", dict(kinds=("plus",), vision={"hidden_size": 24, "projection_dim": 12, "num_attention_heads": 3, "num_hidden_layers": 3, "hidden_act": "gelu"})
    for scheduler in ("EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler", "PNDMScheduler"):
        yield f"by {scheduler}", dict(num_inference_steps=4, change=lambda folder, name=scheduler: folder.scheduler({**folder.config("scheduler"), "_class_name": name}))
    yield "FaceID", dict(kinds=("faceid",))
    yield "an adapter of another context", dict(context=24)


def two_controls(folder):
    folder.several({})
    folder.images["control_image_2"] = {**IMAGE, "seed": 5}


def main():
    configure()
    cases = reported(described(), lambda seed, name, arguments: made(name, seed, **arguments), 901)
    if cases:
        pack(cases, FIXTURES.parent / "folders" / "ip-adapters.json.gz")


if __name__ == "__main__":
    main()
