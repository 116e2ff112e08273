#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Draws folders of every pipeline class by a seed: config keys that published files have, in old and new spellings, or left out.

    venv/bin/python random_folders.py OUT [--seed 1] [--count 60] [--seeds 5] [--classes A,B]   # one file of cases a class, for RandomFolders
    venv/bin/python random_folders.py --fixture                                                  # fixtures/folders/random.json.gz: 40 cases
    venv/bin/python random_folders.py --added --classes A                                        # fixtures/folders/added/A.json.gz: 4 cases of a new class

--seed draws the folders, --seeds counts the images that are made with each. Not run in the build. RandomFolders (Java, beside
FolderParityTest) compares the files and counts. Single keys are drawn here; random_draws.py draws what hangs together.
"""

import argparse
import json
import random
import time
import zlib
from pathlib import Path

from fixture_tools import FIXTURES
from folder_bases import CLASSES, DDIM, EULER, SD, Folder, kind_of
from folder_cases import configure, pack
from listed_differences import listed
from random_draws import ABSENT, SCHEDULER_DRAW, change, change_files, change_index, change_names, change_request, change_schedulers, change_shapes, drop_size
from random_scheduler_cases import require_unchanged

FIXTURE = FIXTURES.parent / "folders" / "random.json.gz"

# Keys whose value at random leaves the shapes of other networks alone; each with the values that are drawn from.
UNET = {
    "act_fn": ["silu", "silu", "swish", "gelu", "relu", "mish", ABSENT],
    "attention_head_dim": [1, 2, 4, [2, 4], ABSENT],
    "center_input_sample": [True, False, ABSENT],
    "class_embeddings_concat": [False, ABSENT],
    "class_embed_type": [None, ABSENT],
    "conv_in_kernel": [3, 1, ABSENT],
    "conv_out_kernel": [3, 1, ABSENT],
    "downsample_padding": [1, 1, 0, ABSENT],
    "dual_cross_attention": [False, ABSENT, None],
    "flip_sin_to_cos": [True, False, ABSENT],
    "freq_shift": [0, 1, ABSENT],
    "layers_per_block": [1, 2, [1, 2], [2, 1], ABSENT],
    "mid_block_scale_factor": [1, 1, 1.4142, ABSENT],
    "mid_block_type": ["UNetMidBlock2DCrossAttn", ABSENT, None, "UNetMidBlock2D"],
    "norm_eps": [1e-5, 1e-6, ABSENT],
    "norm_num_groups": [2, 4, 8, 4, 2, 8, 1, 4, 2, 3],
    "only_cross_attention": [False, True, [True, False], ABSENT],
    "resnet_out_scale_factor": [1.0, ABSENT, 1.4142],
    "resnet_skip_time_act": [False, ABSENT, True],
    "resnet_time_scale_shift": ["default", "scale_shift", ABSENT],
    "time_embedding_act_fn": [None, ABSENT, "silu"],
    "time_embedding_dim": [None, ABSENT, 24],
    "time_embedding_type": ["positional", ABSENT],
    "timestep_post_act": [None, ABSENT, "silu", "gelu"],
    "transformer_layers_per_block": [1, 2, [1, 2], [2, 1], ABSENT],
    "reverse_transformer_layers_per_block": [None, ABSENT, [2, 1]],
    "upcast_attention": [False, True, None, ABSENT],
    "use_linear_projection": [False, True, None, ABSENT],
    "cross_attention_norm": [None, ABSENT, "layer_norm"],
    "encoder_hid_dim": [None, ABSENT],
    "num_attention_heads": [None, ABSENT],
    "unknown_key": [ABSENT, 7],
}
LEVELS = [
    (["CrossAttnDownBlock2D", "DownBlock2D"], ["UpBlock2D", "CrossAttnUpBlock2D"]),
    (["CrossAttnDownBlock2D", "CrossAttnDownBlock2D"], ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]),
    (["DownBlock2D", "CrossAttnDownBlock2D"], ["CrossAttnUpBlock2D", "UpBlock2D"]),
    (["DownBlock2D", "DownBlock2D"], ["UpBlock2D", "UpBlock2D"]),
]
# Levels of the blocks of Kandinsky and DeepFloyd IF, alone and among others, and keys that mean something to them.
BLOCK_LEVELS = [
    (["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"], ["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"]),
    (["SimpleCrossAttnDownBlock2D", "SimpleCrossAttnDownBlock2D"], ["SimpleCrossAttnUpBlock2D", "SimpleCrossAttnUpBlock2D"]),
    (["SimpleCrossAttnDownBlock2D", "CrossAttnDownBlock2D"], ["UpBlock2D", "SimpleCrossAttnUpBlock2D"]),
    (["UNetResDownBlock2D", "ResnetDownsampleBlock2D"], ["ResnetUpsampleBlock2D", "CrossAttnUpBlock2D"]),
]
BLOCK_KEYS = {
    "addition_embed_type": ["text"],
    "attention_head_dim": [2, 4, 8, [2, 4], [8, 4]],
    "mid_block_only_cross_attention": [None, True, False],
    "mid_block_type": ["UNetMidBlock2DSimpleCrossAttn"],
    "resnet_out_scale_factor": [1.4142, 2],
    "resnet_skip_time_act": [True],
    "time_embedding_type": ["fourier"],
}
UNET2D = {
    "act_fn": ["silu", "silu", "gelu", "relu", "mish", ABSENT],
    "add_attention": [True, False, ABSENT],
    "attention_head_dim": [None, 4, 2, 8, ABSENT],
    "attn_norm_num_groups": [None, 2, ABSENT],
    "center_input_sample": [True, False, ABSENT],
    "downsample_padding": [1, 0, ABSENT],
    "downsample_type": ["conv", "resnet", ABSENT],
    "dropout": [0.0, ABSENT],
    "flip_sin_to_cos": [True, False, ABSENT],
    "freq_shift": [0, 1, ABSENT],
    "layers_per_block": [1, 2, ABSENT],
    "mid_block_scale_factor": [1, 1.4142, ABSENT],
    "mid_block_type": ["UNetMidBlock2D", ABSENT, None],
    "norm_eps": [1e-5, 1e-6, ABSENT],
    "norm_num_groups": [2, 4, 8, 4, 2, 8, 1, 4, 2, 3],
    "resnet_time_scale_shift": ["default", "scale_shift", ABSENT],
    "time_embedding_dim": [None, ABSENT, 24],
    "time_embedding_type": ["positional", ABSENT],
    "upsample_type": ["conv", "resnet", ABSENT],
}
LEVELS2D = [
    (["DownBlock2D", "AttnDownBlock2D"], ["AttnUpBlock2D", "UpBlock2D"]),
    (["AttnDownBlock2D", "AttnDownBlock2D"], ["AttnUpBlock2D", "AttnUpBlock2D"]),
    (["DownBlock2D", "DownBlock2D"], ["UpBlock2D", "UpBlock2D"]),
]
# NCSN++'s blocks, alone and beside others, and what stands with them in published configs.
SKIP_LEVELS = [
    (["SkipDownBlock2D", "SkipDownBlock2D"], ["SkipUpBlock2D", "SkipUpBlock2D"]),
    (["SkipDownBlock2D", "AttnSkipDownBlock2D"], ["AttnSkipUpBlock2D", "SkipUpBlock2D"]),
    (["AttnSkipDownBlock2D", "SkipDownBlock2D"], ["SkipUpBlock2D", "AttnSkipUpBlock2D"]),
    (["SkipDownBlock2D", "DownBlock2D"], ["UpBlock2D", "SkipUpBlock2D"]),
    (["ResnetDownsampleBlock2D", "AttnDownBlock2D"], ["AttnUpBlock2D", "ResnetUpsampleBlock2D"]),
]
# The x2 latent upscaler's blocks, alone and beside others, and the keys that mean something to them.
DOUBLING_LEVELS = [
    (["KDownBlock2D", "KCrossAttnDownBlock2D"], ["KCrossAttnUpBlock2D", "KUpBlock2D"]),
    (["KCrossAttnDownBlock2D"] * 3, ["KCrossAttnUpBlock2D"] * 3),
    (["KDownBlock2D", "KDownBlock2D", "KCrossAttnDownBlock2D"], ["KCrossAttnUpBlock2D", "KUpBlock2D", "KUpBlock2D"]),
    (["CrossAttnDownBlock2D", "DownBlock2D"], ["UpBlock2D", "CrossAttnUpBlock2D"]),
    (["KDownBlock2D", "CrossAttnDownBlock2D"], ["CrossAttnUpBlock2D", "KUpBlock2D"]),
]
DOUBLING = {
    "act_fn": ["gelu", "silu", "swish", "relu", "mish", ABSENT],
    "attention_head_dim": [16, 8, 32, 16, ABSENT],
    "center_input_sample": [True, False, ABSENT],
    "class_embed_type": [None, ABSENT],
    "conv_in_kernel": [1, 3, ABSENT],
    "conv_out_kernel": [1, 3, ABSENT],
    "cross_attention_norm": [None, ABSENT, "layer_norm"],
    "downsample_padding": [1, ABSENT],
    "dual_cross_attention": [False, ABSENT],
    "flip_sin_to_cos": [True, False, ABSENT],
    "freq_shift": [0, 1, ABSENT],
    "layers_per_block": [1, 2, 3, ABSENT],
    "mid_block_scale_factor": [1, ABSENT],
    "norm_eps": [1e-5, 1e-6, ABSENT],
    "only_cross_attention": [False, ABSENT, True],
    "resnet_out_scale_factor": [1.0, ABSENT],
    "resnet_skip_time_act": [False, ABSENT],
    "resnet_time_scale_shift": ["default", ABSENT, "default", "scale_shift"],
    "sample_size": [16, 32, ABSENT],
    "time_embedding_act_fn": [None, ABSENT, "silu"],
    "time_embedding_dim": [None, ABSENT, 24],
    "time_embedding_type": ["fourier", "fourier", "positional", ABSENT],
    "timestep_post_act": [None, ABSENT, "silu", "gelu"],
    "transformer_layers_per_block": [1, ABSENT],
    "upcast_attention": [False, True, None, ABSENT],
    "use_linear_projection": [False, True, ABSENT],
    "num_class_embeds": [None, ABSENT],
    "unknown_key": [ABSENT, 7],
}
SKIP_KEYS = {
    "attention_head_dim": [None, 8, 4],
    "mid_block_scale_factor": [1.4142, 1.41421356],
    "norm_num_groups": [None, None, None, 4, 8],
    "time_embedding_type": ["fourier"],
    "downsample_type": ["resnet"],
    "upsample_type": ["resnet"],
}
VAE = {
    "act_fn": ["silu", "silu", "gelu", "relu", "swish", ABSENT],
    "force_upcast": [True, False, ABSENT],
    "latents_mean": [None, ABSENT, [0.1, -0.2, 0.3, 0.0]],
    "latents_std": [None, ABSENT, [1.5, 0.5, 1.0, 0.8]],
    "layers_per_block": [1, 2, ABSENT],
    "mid_block_add_attention": [True, False, ABSENT],
    "norm_num_groups": [2, 4, 8, 4, 2, 8, 1, 4, 2, 3],
    "sample_size": [16, 32, ABSENT],
    "scaling_factor": [0.18215, 0.5, 0.13025, ABSENT],
    "shift_factor": [None, ABSENT, 0.2],
    "use_post_quant_conv": [True, True, False, ABSENT],
    "use_quant_conv": [True, False, ABSENT],
}
VQ = {
    "act_fn": ["silu", "gelu", ABSENT],
    "layers_per_block": [1, 2, ABSENT],
    "mid_block_add_attention": [True, False, ABSENT],
    "norm_num_groups": [2, 4, 8],
    "norm_type": ["group", ABSENT],
    "scaling_factor": [0.18215, ABSENT],
    "lookup_from_codebook": [False, ABSENT],
}
TEXT = {
    "attention_dropout": [0.0, ABSENT],
    "eos_token_id": [2, 933, ABSENT],
    "hidden_act": ["quick_gelu", "gelu", "silu", ABSENT],
    "intermediate_size": [32, 48],
    "layer_norm_eps": [1e-5, 1e-3, ABSENT],
    "num_attention_heads": [2, 4, 1],
    "num_hidden_layers": [1, 2, 3],
    "torch_dtype": ["float32", ABSENT],
    "transformers_version": ["4.21.0.dev0", ABSENT],
}
VISION = {key: TEXT[key] for key in ("hidden_act", "intermediate_size", "layer_norm_eps", "num_attention_heads", "num_hidden_layers")}
DIT = {
    "attention_bias": [True, ABSENT],
    "num_layers": [1, 2],
    "num_attention_heads": [1, 2],
    "norm_elementwise_affine": [False, ABSENT],
    "norm_eps": [1e-5, 1e-6, ABSENT],
    "patch_size": [2, 4, 1],
    "sample_size": [8, 4],
    "upcast_attention": [False, ABSENT],
    "activation_fn": ["gelu-approximate", ABSENT],
}
DRAWN = {"UNet2DConditionModel": (UNET, LEVELS), "UNet2DModel": (UNET2D, LEVELS2D), "AutoencoderKL": (VAE, None), "VQModel": (VQ, None), "CLIPTextModel": (TEXT, None),
         "CLIPTextModelWithProjection": (TEXT, None), "CLIPVisionModelWithProjection": (VISION, None), "DiTTransformer2DModel": (DIT, None)}

SCHEDULER = {
    "clip_sample": [False, True, ABSENT],
    "prediction_type": ["epsilon", "v_prediction", ABSENT],
    "set_alpha_to_one": [False, True, ABSENT],
    "skip_prk_steps": [True, False, ABSENT],
    "steps_offset": [1, 0, ABSENT],
    "timestep_spacing": ["leading", "trailing", "linspace", ABSENT],
    "trained_betas": [None, ABSENT],
}
SCHEDULERS = [
    DDIM,
    EULER,
    {"_class_name": "PNDMScheduler", **SD, "skip_prk_steps": True},
    {"_class_name": "DPMSolverMultistepScheduler", **SD},
    {"_class_name": "EulerAncestralDiscreteScheduler", **SD},
    {"_class_name": "UniPCMultistepScheduler", **SD},
    {"_class_name": "HeunDiscreteScheduler", **SD},
    {"_class_name": "LMSDiscreteScheduler", **SD},
]


def other_blocks(rng, config):
    """Puts other blocks into a UNet, and what stands with them."""
    second_text = config.get("addition_embed_type") == "text_time"
    config["down_block_types"], config["up_block_types"] = rng.choice(BLOCK_LEVELS)
    if rng.random() < 0.8:
        config["norm_num_groups"] = rng.choice([2, 4, 8])
        config["attention_head_dim"] = rng.choice([2, 4])
    change(rng, config, {key: values for key, values in BLOCK_KEYS.items() if key != "addition_embed_type" or not second_text}, 0.5)
    config["addition_embed_type_num_heads"] = rng.choice([2, 4])
    kind = rng.random()
    if kind < 0.3:
        # Groups of 32 are normed.
        config["encoder_hid_dim"], config["cross_attention_dim"] = config["cross_attention_dim"], 32
        config["cross_attention_norm"] = "group_norm"
    elif kind < 0.5 and not second_text:
        config["block_out_channels"] = [config["cross_attention_dim"]] * 2
        config["cross_attention_norm"] = "layer_norm"


def skip_blocks(rng, config):
    """Puts NCSN++'s blocks into a UNet2DModel, or those of published consistency models."""
    config["down_block_types"], config["up_block_types"] = rng.choice(SKIP_LEVELS)
    attends = any(name.startswith("AttnSkip") for name in config["down_block_types"])
    config["block_out_channels"] = rng.choice([[32, 32], [32, 64]] if attends else [[8, 16], [16, 16], [32, 16], [32, 32]])
    change(rng, config, SKIP_KEYS, 0.7)


def draw(pipeline, seed, number, blocks=False):
    # A generator of its own, so that the folders of a seed stay what they were before these blocks were drawn.
    other = random.Random(f"{seed}/{pipeline}/{number}/skip")
    rng = random.Random(f"{seed}/{pipeline}/{number}" + ("/blocks" if blocks else ""))
    folder = Folder(pipeline)
    for component, entry in folder.networks.items():
        doubles = kind_of(pipeline) == "doubling" and component == "unet"
        values, levels = (DOUBLING, DOUBLING_LEVELS) if doubles else DRAWN[entry[1]]
        change(rng, entry[2], values)
        if levels and rng.random() < 0.4:
            entry[2]["down_block_types"], entry[2]["up_block_types"] = rng.choice(levels)
        if "block_out_channels" in entry[2] and rng.random() < 0.3:
            entry[2]["block_out_channels"] = rng.choice([[32, 32, 32], [64, 64, 64], [32, 96, 96]] if doubles else [[8, 8], [16, 16], [16, 8], [8, 24]])
        if doubles:
            entry[2]["block_out_channels"] = entry[2]["block_out_channels"][: len(entry[2]["down_block_types"])]
        if blocks and entry[1] == "UNet2DConditionModel":
            other_blocks(rng, entry[2])
        if entry[1] == "UNet2DModel" and other.random() < (0.5 if pipeline == "ScoreSdeVePipeline" else 0.2):
            skip_blocks(other, entry[2])
    kind = kind_of(pipeline)
    if kind not in ("consistency", "pixels", "marigold", "onestep", "repaint", "score", "doubling"):
        # docs/DIFFERENCES.md says why: DiT with a scheduler that scales its input, and noise of torch's global generator.
        names = {"classes": ("DDIM", "DPMSolver", "UniPC"), **dict.fromkeys(("superresolution", "latents"), ("DDIM", "DPMSolver", "UniPC", "EulerDiscrete", "Heun", "LMS"))}.get(kind, ("",))
        folder.scheduler(rng.choice([each for each in SCHEDULERS if each["_class_name"].startswith(names)]))
    if kind not in ("consistency", "onestep", "repaint", "score", "doubling"):
        change(rng, folder.config("scheduler"), SCHEDULER, 0.25)
    change_schedulers(rng, folder, kind)
    change_shapes(rng, folder, kind)
    change_names(rng, folder)
    change_index(rng, folder, kind)
    change_request(rng, folder, kind)
    drop_size(rng, folder, kind)
    case = folder.case(f"{pipeline} {seed}/{number}", 10_000 + number)
    change_files(rng, case)
    return folder, case


def cases(pipeline, seed, count, seeds, blocks=False):
    for number in range(count):
        folder, case = draw(pipeline, seed, number, blocks)
        yield listed(folder, case.expect(tuple(range(seeds))))


def fingerprint(made):
    """Equal for equal folders and requests, whatever becomes of them."""
    return zlib.crc32(json.dumps([{key: value for key, value in case.json.items() if key not in ("expected", "listed")} for case in made]).encode())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--classes", default=",".join(CLASSES))
    parser.add_argument("--blocks", action="store_true", help="UNets of other blocks than Stable Diffusion's")
    parser.add_argument("--fixture", action="store_true")
    parser.add_argument("--added", action="store_true", help="classes that are newer than random.json.gz")
    options = parser.parse_args()
    configure()
    require_unchanged(SCHEDULER_DRAW)
    if options.fixture:
        made, refused = [], []
        for pipeline in CLASSES:
            wanted = 1 if kind_of(pipeline) in ("superresolution", "repaint", "score", "grounded", "doubling") else 2
            for case in cases(pipeline, 7, 60, 1):
                if "listed" in case.json:
                    continue
                if "refused" in case.json["expected"][0]:
                    refused.append(case)
                elif wanted > 0:
                    made.append(case)
                    wanted -= 1
                if wanted == 0:
                    break
        pack(made + refused[: 40 - len(made)], FIXTURE)
        print(len(made), "pictures,", len(refused[: 40 - len(made)]), "refusals")
        return
    if options.added:
        for pipeline in options.classes.split(","):
            made = [case for case in cases(pipeline, 7, 12, 1) if "listed" not in case.json]
            refused = [case for case in made if "refused" in case.json["expected"][0]]
            pictures = [case for case in made if case not in refused]
            pack(pictures[:3] + refused[:1], FIXTURE.parent / "added" / f"{pipeline}.json.gz")
            print(pipeline, len(pictures), "pictures,", len(refused), "refusals")
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for pipeline in options.classes.split(","):
        began, made = time.time(), list(cases(pipeline, options.seed, options.count, options.seeds, options.blocks))
        pack(made, options.out / f"{pipeline}.json.gz")
        refused = sum("refused" in case.json["expected"][0] for case in made)
        print(f"{pipeline:45} {len(made)} folders, draw {fingerprint(made):08X}, {refused} refused, {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
