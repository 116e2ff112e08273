#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""ControlNets of Stable Diffusion XL: folders with them that are described, not stored, and what diffusers makes of them (by itself).

    venv/bin/python control_xl_fixtures.py [name ...]        # with names, only reports on those folders

Writes fixtures/folders/control-xl.json.gz, which ControlXlTest compares, and the first of each class to fixtures/folders/added.
"""

from fixture_tools import FIXTURES
from folder_bases import CONTROL, IMAGE, NEGATIVE, Folder
from folder_cases import configure, pack, reported
from ip_adapter_fixtures import SHOWN, add_adapters, see

TEXT, FROM_IMAGE, INPAINT = (f"StableDiffusionXLControlNet{kind}Pipeline" for kind in ("", "Img2Img", "Inpaint"))
UNION, UNION_FROM_IMAGE, UNION_INPAINT = (each.replace("ControlNet", "ControlNetUnion") for each in (TEXT, FROM_IMAGE, INPAINT))
KINDS = {"_class_name": "ControlNetUnionModel", "num_control_type": 6, "num_proj_channel": 8, "num_trans_channel": 8, "num_trans_head": 2, "num_trans_layer": 1}
OWN = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8, "cross_attention_dim": 40, "projection_class_embeddings_input_dim": 68, "use_linear_projection": True}


def described():
    """Name, class and changes."""
    for pipeline in (TEXT, FROM_IMAGE, INPAINT):
        yield "plain " + pipeline, pipeline, {}
    for pipeline in (TEXT, FROM_IMAGE, INPAINT):
        yield "scale and share of steps, " + pipeline, pipeline, dict(controlnet_conditioning_scale=0.6, control_guidance_start=0.3, control_guidance_end=0.8, num_inference_steps=6)
        yield "guess mode, " + pipeline, pipeline, dict(guess_mode=True, negative_prompt=NEGATIVE)
        yield "without guidance, " + pipeline, pipeline, dict(guidance_scale=1.0)
        yield "two networks, " + pipeline, pipeline, dict(several=[{}], controlnet_conditioning_scale=[0.8, 0.4], control_guidance_start=[0.0, 0.25], control_guidance_end=[0.6, 1.0], num_inference_steps=6)
        yield "defaults of " + pipeline, pipeline, dict(defaults=True)
        yield "an IP-Adapter, " + pipeline, pipeline, dict(shown="plain")
    yield "an IP-Adapter plus and two networks", TEXT, dict(several=[{}], shown="plus")
    yield "sizes and a crop", TEXT, dict(original_size=[32, 24], crops_coords_top_left=[4, 2], target_size=[20, 20])
    yield "a network without text and sizes", TEXT, dict(networks={"addition_embed_type": None, "addition_time_embed_dim": None, "projection_class_embeddings_input_dim": None})
    yield "deeper transformers", TEXT, dict(unet={"transformer_layers_per_block": [2, 1]}, networks={"transformer_layers_per_block": [1, 2]})
    for name in ("EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler", "HeunDiscreteScheduler"):
        yield f"by {name}", TEXT, dict(kind=name, num_inference_steps=4, control_guidance_end=0.5)
    yield "a control image of another size", TEXT, dict(control={"width": 40, "height": 26})
    for pipeline in (UNION, UNION_FROM_IMAGE, UNION_INPAINT):
        yield "union, " + pipeline, pipeline, dict(union={}, control_mode=3)
        yield "union, a scale and a share of steps, " + pipeline, pipeline, dict(union={}, control_mode=0, controlnet_conditioning_scale=0.6, control_guidance_start=0.3, control_guidance_end=0.8, num_inference_steps=6)
        yield "union, without guidance, " + pipeline, pipeline, dict(union={}, control_mode=5, guidance_scale=1.0)
        yield "union, defaults of " + pipeline, pipeline, dict(union={}, control_mode=1, defaults=True)
        yield "union, an IP-Adapter, " + pipeline, pipeline, dict(union={}, control_mode=2, shown="plus")
    yield "union of eight kinds, two layers", UNION, dict(union={"num_control_type": 8, "num_trans_layer": 2}, control_mode=7)
    yield "union of other widths", UNION, dict(union={"num_trans_channel": 16}, control_mode=1)
    yield "union of another kind", UNION, dict(union={}, control_mode=6)
    yield "another context", TEXT, dict(networks={"cross_attention_dim": 16})


def made(seed, name, pipeline, changes):
    changes = dict(changes)
    folder = Folder(pipeline.replace("ControlNetUnion", "").replace("ControlNet", ""))
    folder.pipeline = pipeline
    folder.index.pop("add_watermarker", None)
    folder.network("controlnet", "diffusers", "ControlNetModel", {**CONTROL, **OWN}, **changes.pop("networks", {}))
    more = changes.pop("several", [])
    if "union" in changes:
        folder.network("controlnet", "diffusers", "ControlNetUnionModel", {**CONTROL, **OWN, **KINDS, **changes.pop("union")})
    if more:
        folder.several(*[{**OWN, **each} for each in more])
    folder.config("unet").update(changes.pop("unet", {}))
    if "kind" in changes:
        folder.scheduler({**folder.config("scheduler"), "_class_name": changes.pop("kind")})
    folder.images["control_image_1"] = {**IMAGE, "seed": 11, **changes.pop("control", {})}
    for i in range(len(more)):
        folder.images[f"control_image_{i + 2}"] = {**IMAGE, "seed": 12 + i}
    kind = changes.pop("shown", None)
    if kind:
        see(folder)
        folder.images["ip_adapter_image"] = SHOWN
    if pipeline not in (TEXT, UNION):
        folder.arguments.update(height=16, width=16)
    if changes.pop("defaults", False):
        for key in ("strength", "guidance_scale"):
            folder.arguments.pop(key, None)
        folder.arguments.update(num_inference_steps=5)
    folder.arguments.update(changes)
    case = folder.case(name, seed)
    if kind:
        add_adapters(case, folder, [kind])
    return case.expect((seed,))


def main():
    configure()
    cases = reported(described(), made, 1101)
    if cases:
        folders = FIXTURES.parent / "folders"
        pack(cases, folders / "control-xl.json.gz")
        first = [next(case for case in cases if case.json["pipeline"] == each) for each in (TEXT, FROM_IMAGE, INPAINT, UNION, UNION_FROM_IMAGE, UNION_INPAINT)]
        pack(first, folders / "added" / f"{TEXT}.json.gz")


if __name__ == "__main__":
    main()
