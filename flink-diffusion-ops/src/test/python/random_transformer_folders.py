#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Draws folders of diffusion transformers by a seed: the keys of published configs, in values that are smaller or left out.

    venv/bin/python random_transformer_folders.py [--seed 1] [--count 3]    # fixtures/folders/added/CLASS.json.gz

Of Stable Diffusion 3, without T5, and of Flux.1 with T5. Keys whose values hang together fit, but for one later folder in five, which both
sides must refuse.
"""

import argparse
import json
import random
import zlib

from fixture_tools import FIXTURES
from folder_bases import IMAGE, MASK, NEGATIVE, PROMPT, SIZE, TEXT, VAE
from folder_cases import Case, configure, pack

OUT = FIXTURES.parent / "folders" / "added"
T5_FILES = FIXTURES / "tiny-flux-dev" / "tokenizer_2"
CLASSES = (
    "StableDiffusion3Pipeline",
    "StableDiffusion3Img2ImgPipeline",
    "FluxPipeline",
    "FluxImg2ImgPipeline",
    "FluxInpaintPipeline",
    "FluxFillPipeline",
    "FluxControlPipeline",
)
ABSENT = object()


def put(config, key, value):
    if value is not ABSENT:
        config[key] = value


def clip(case, component, size, projection, cls):
    config = {**TEXT, "architectures": [cls], "hidden_size": size, "projection_dim": projection, "num_attention_heads": 2, "intermediate_size": 2 * size}
    case.network(component, "transformers", cls, config)
    case.tokenizer(component.replace("text_encoder", "tokenizer"))


def autoencoder(rng, case, channels, levels):
    config = {
        **VAE, "latent_channels": channels, "block_out_channels": [8] * levels, "down_block_types": ["DownEncoderBlock2D"] * levels, "up_block_types": ["UpDecoderBlock2D"] * levels,
        "scaling_factor": rng.choice([0.3611, 1.5305]), "shift_factor": rng.choice([0.1159, 0.0609, -0.2]), "use_quant_conv": False, "use_post_quant_conv": False,
    }  # fmt: skip
    put(config, "force_upcast", rng.choice([True, ABSENT]))
    case.network("vae", "diffusers", "AutoencoderKL", config)


def flow(rng, case):
    name = "FlowMatchEulerDiscreteScheduler"
    config = {"_class_name": name, "num_train_timesteps": 1000}
    put(config, "shift", rng.choice([1.0, 3.0, ABSENT]))
    if rng.random() < 0.5:
        config.update(use_dynamic_shifting=True, base_shift=rng.choice([0.5, 0.3]), max_shift=rng.choice([1.15, 1.4]), base_image_seq_len=rng.choice([256, 64]), max_image_seq_len=4096)
    case.scheduler(name, config)


def sd3(rng, case):
    channels, levels = rng.choice([(4, 2), (16, 2), (4, 3)])
    sizes = rng.choice([(16, 24), (16, 16), (24, 16)])
    heads, head, layers = rng.choice([2, 3]), rng.choice([8, 16]), rng.choice([1, 2, 3])
    for component, size in zip(("text_encoder", "text_encoder_2"), sizes):
        clip(case, component, size, size, "CLIPTextModelWithProjection")
    case.json["index"].update(text_encoder_3=[None, None], tokenizer_3=[None, None], feature_extractor=[None, None], image_encoder=[None, None])
    unfit = 8 if rng.random() < 0.2 and not case.json["name"].endswith(" 0") else 0
    config = {
        "_class_name": "SD3Transformer2DModel", "sample_size": 16, "patch_size": rng.choice([2, 1]), "in_channels": channels, "out_channels": channels,
        "num_layers": layers, "attention_head_dim": head, "num_attention_heads": heads, "caption_projection_dim": heads * head,
        "joint_attention_dim": sum(sizes) + rng.choice([0, 8]), "pooled_projection_dim": sum(sizes) + unfit, "pos_embed_max_size": rng.choice([16, 24, 31]),
    }  # fmt: skip
    put(config, "qk_norm", rng.choice(["rms_norm", None, ABSENT]))
    put(config, "dual_attention_layers", rng.choice([[0], list(range(layers)), [], ABSENT]))
    case.network("transformer", "diffusers", "SD3Transformer2DModel", config)
    autoencoder(rng, case, channels, levels)
    arguments = dict(prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=3, guidance_scale=rng.choice([1.0, 3.0]), max_sequence_length=16, **SIZE)
    if rng.random() < 0.4:
        arguments.update(prompt_2="the sea", prompt_3="a cat")
    if "Img2Img" in case.json["pipeline"]:
        arguments.update(strength=rng.choice([0.5, 0.9]))
        return case.ask({"image": IMAGE}, **arguments)
    if rng.random() < 0.4:
        arguments.update(guidance_scale=3.0, skip_guidance_layers=[layers - 1], skip_layer_guidance_stop=0.9)
    return case.ask(**arguments)


def flux(rng, case):
    pipeline = case.json["pipeline"]
    channels, levels = rng.choice([(4, 2), (16, 2), (4, 3)])
    factor = 2 ** (levels - 1)
    beside = {"FluxFillPipeline": channels + factor**2, "FluxControlPipeline": channels}.get(pipeline, 0)
    size, wide = rng.choice([16, 24]), rng.choice([16, 24])
    clip(case, "text_encoder", size, size, "CLIPTextModel")
    config = {
        "architectures": ["T5EncoderModel"], "model_type": "t5", "vocab_size": 260, "d_model": wide, "d_kv": 8, "d_ff": 32, "num_layers": rng.choice([1, 2]), "num_heads": 2,
        "feed_forward_proj": rng.choice(["gated-gelu", "relu"]), "relative_attention_num_buckets": rng.choice([32, 16]), "is_encoder_decoder": False,
    }  # fmt: skip
    put(config, "relative_attention_max_distance", rng.choice([128, 64, ABSENT]))
    case.network("text_encoder_2", "transformers", "T5EncoderModel", config)
    case.json["weights"]["text_encoder_2"]["tensors"].pop("encoder.embed_tokens.weight", None)  # the same as shared.weight
    case.json["index"]["tokenizer_2"] = ["transformers", "T5TokenizerFast"]
    for file in ("tokenizer.json", "tokenizer_config.json"):
        case.file(f"tokenizer_2/{file}", json.dumps(json.loads((T5_FILES / file).read_text(encoding="utf-8")), separators=(",", ":")))
    axes, head = rng.choice([([4, 6, 6], 16), ([4, 2, 2], 8), ([8, 4, 4], 16)])
    unfit = 8 if rng.random() < 0.2 and not case.json["name"].endswith(" 0") else 0
    guided = rng.choice([True, False, ABSENT])
    config = {
        "_class_name": "FluxTransformer2DModel", "patch_size": 1, "in_channels": 4 * (channels + beside), "num_layers": rng.choice([1, 2]), "num_single_layers": rng.choice([1, 2]),
        "attention_head_dim": head, "num_attention_heads": rng.choice([1, 2]), "joint_attention_dim": wide + unfit, "pooled_projection_dim": size, "axes_dims_rope": axes,
    }  # fmt: skip
    put(config, "out_channels", 4 * channels if beside else rng.choice([4 * channels, None, ABSENT]))
    put(config, "guidance_embeds", guided)
    case.network("transformer", "diffusers", "FluxTransformer2DModel", config)
    autoencoder(rng, case, channels, levels)
    arguments = dict(prompt=PROMPT, num_inference_steps=3, max_sequence_length=16, **SIZE)
    if guided is True:
        arguments.update(guidance_scale=rng.choice([2.5, 30.0]))
    images = {}
    if pipeline == "FluxControlPipeline":
        images = {"control_image": IMAGE}
    elif pipeline != "FluxPipeline":
        images = {"image": IMAGE, **({} if "Img2Img" in pipeline else {"mask_image": MASK})}
        arguments.update(strength=rng.choice([0.6, 0.9, 1.0]))
    if not beside and rng.random() < 0.4:
        arguments.update(negative_prompt=NEGATIVE, true_cfg_scale=2.0)
    return case.ask(images, **arguments)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=3)
    options = parser.parse_args()
    configure()
    for pipeline in CLASSES:
        cases = []
        for number in range(options.count):
            rng = random.Random(f"{options.seed} {pipeline} {number}")
            case = Case(f"{pipeline} {number}", zlib.crc32(f"{pipeline} {number}".encode()) % 1000, pipeline)
            flow(rng, case)
            (sd3 if pipeline.startswith("StableDiffusion3") else flux)(rng, case)
            cases.append(case.expect())
            for expected in case.json["expected"]:
                print(pipeline, number, expected.get("refused", f"inside {expected.get('inside')}"))
        pack(cases, OUT / f"{pipeline}.json.gz")


if __name__ == "__main__":
    main()
