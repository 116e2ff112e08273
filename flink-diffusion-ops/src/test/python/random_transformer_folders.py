#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Draws folders of diffusion transformers by a seed: the keys of published configs, in values that are smaller or left out.

    venv/bin/python random_transformer_folders.py [--seed 1] [--count 3] [--out FOLDER] [CLASS ...]    # fixtures/folders/added/CLASS.json.gz

Of Stable Diffusion 3, without T5, of Flux.1 with T5, and of Z-Image, Qwen-Image, PixArt, Sana and Lumina 2 with their language models. Keys whose values
hang together fit, but for one later folder in five, which both sides must refuse.
"""

import argparse
import json
import random
import zlib
from pathlib import Path

from fixture_tools import FIXTURES
from folder_bases import IMAGE, MASK, NEGATIVE, PROMPT, SIZE, TEXT, VAE
from folder_cases import Case, configure, pack

OUT = FIXTURES.parent / "folders" / "added"
T5_FILES = FIXTURES / "tiny-flux-dev" / "tokenizer_2"
CLASSES = (
    "StableDiffusion3Pipeline",
    "StableDiffusion3Img2ImgPipeline",
    "StableDiffusion3InpaintPipeline",
    "FluxPipeline",
    "FluxImg2ImgPipeline",
    "FluxInpaintPipeline",
    "FluxFillPipeline",
    "FluxControlPipeline",
    "FluxControlImg2ImgPipeline",
    "FluxControlInpaintPipeline",
    "ZImagePipeline",
    "ZImageImg2ImgPipeline",
    "ZImageInpaintPipeline",
    "QwenImagePipeline",
    "QwenImageImg2ImgPipeline",
    "QwenImageInpaintPipeline",
    "PixArtAlphaPipeline",
    "PixArtSigmaPipeline",
    "SanaPipeline",
    "Lumina2Pipeline",
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
    inpainting = "Inpaint" in case.json["pipeline"]  # the class takes no other number of channels
    channels, levels = rng.choice([(16, 2), (16, 3)] if inpainting else [(4, 2), (16, 2), (4, 3)])
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
    if inpainting or "Img2Img" in case.json["pipeline"]:
        arguments.update(strength=rng.choice([0.5, 0.9]))
        return case.ask({"image": IMAGE, **({"mask_image": MASK} if inpainting else {})}, **arguments)
    if rng.random() < 0.4:
        arguments.update(guidance_scale=3.0, skip_guidance_layers=[layers - 1], skip_layer_guidance_stop=0.9)
    return case.ask(**arguments)


def flux(rng, case):
    pipeline = case.json["pipeline"]
    channels, levels = rng.choice([(4, 2), (16, 2), (4, 3)])
    factor = 2 ** (levels - 1)
    beside = channels + factor**2 if "Fill" in pipeline else channels if "Control" in pipeline else 0
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
        if beside and "Control" in pipeline:
            images["control_image"] = {**IMAGE, "seed": 9}
        arguments.update(strength=rng.choice([0.6, 0.9, 1.0]))
    if not beside and rng.random() < 0.4:
        arguments.update(negative_prompt=NEGATIVE, true_cfg_scale=2.0)
    return case.ask(images, **arguments)


def published(folder, component):
    """The keys that diffusers or transformers wrote for a tiny folder."""
    config = json.loads((FIXTURES / folder / component / "config.json").read_text(encoding="utf-8"))
    return {key: value for key, value in config.items() if key not in ("_diffusers_version", "transformers_version", "dtype")}


def words(case, folder, name, *more):
    case.json["index"]["tokenizer"] = ["transformers", name]
    for file in ("tokenizer.json", "tokenizer_config.json", *more):
        text = (FIXTURES / folder / "tokenizer" / file).read_text(encoding="utf-8")
        case.file(f"tokenizer/{file}", json.dumps(json.loads(text), separators=(",", ":")) if file.endswith(".json") else text)


def layered(config, layers, kinds=("full_attention",)):
    config.update(num_hidden_layers=layers, layer_types=[kinds[i % len(kinds)] for i in range(layers)])
    return config


def unfitting(rng, case):
    return 8 if rng.random() < 0.2 and not case.json["name"].endswith(" 0") else 0


def images_of(rng, case, arguments):
    """What the pipelines from images take, by the class's name."""
    pipeline = case.json["pipeline"]
    if pipeline.endswith(("Img2ImgPipeline", "InpaintPipeline")):
        arguments.update(strength=rng.choice([0.5, 0.8, 1.0]))
        return {"image": IMAGE, **({} if "Img2Img" in pipeline else {"mask_image": MASK})}
    return {}


def z_image(rng, case):
    hidden, heads = rng.choice([16, 24, 32]), rng.choice([2, 4])
    text = published("tiny-z-image", "text_encoder")
    text.update(hidden_size=hidden, intermediate_size=hidden + 8 * rng.choice([0, 2]), num_attention_heads=heads, num_key_value_heads=rng.choice([1, heads]), head_dim=rng.choice([8, 12]))
    text.update(rms_norm_eps=rng.choice([1e-6, 1e-5]), rope_parameters={"rope_type": "default", "rope_theta": rng.choice([1e6, 1e4])})
    case.network("text_encoder", "transformers", "Qwen3Model", layered(text, rng.choice([2, 3])))
    words(case, "tiny-z-image", "Qwen2Tokenizer", "chat_template.jinja")
    channels, levels = rng.choice([(4, 2), (16, 2), (4, 3)])
    axes = rng.choice([[4, 2, 2], [4, 6, 6], [8, 4, 4]])
    heads = rng.choice([2, 3])
    config = published("tiny-z-image", "transformer")
    config.update(
        axes_dims=axes, axes_lens=rng.choice([[640, 64, 64], [1024, 512, 512]]), cap_feat_dim=hidden + unfitting(rng, case), dim=heads * sum(axes), n_heads=heads, n_kv_heads=heads,
        in_channels=channels, n_layers=rng.choice([1, 2]), n_refiner_layers=rng.choice([1, 2]), qk_norm=rng.choice([True, False]), rope_theta=rng.choice([256.0, 10000.0]),
    )  # fmt: skip
    if rng.random() < 0.5:
        del config["siglip_feat_dim"]  # older folders have none
    case.network("transformer", "diffusers", "ZImageTransformer2DModel", config)
    autoencoder(rng, case, channels, levels)
    arguments = dict(prompt=PROMPT, num_inference_steps=4, guidance_scale=rng.choice([0.0, 1.0, 3.0]), **SIZE)
    if rng.random() < 0.5:
        arguments.update(negative_prompt=NEGATIVE)
    return case.ask(images_of(rng, case, arguments), **arguments)


def qwen_image(rng, case):
    hidden, heads = rng.choice([16, 32]), 2
    both = published("tiny-qwen-image", "text_encoder")
    text = both["text_config"]
    text.update(hidden_size=hidden, intermediate_size=2 * hidden, num_attention_heads=heads, num_key_value_heads=rng.choice([1, heads]), rms_norm_eps=rng.choice([1e-6, 1e-5]))
    half = hidden // heads // 2
    text["rope_parameters"]["mrope_section"] = [half - 2 * (half // 4), half // 4, half // 4]
    layered(text, rng.choice([1, 2]))
    both["vision_config"]["out_hidden_size"] = hidden
    case.network("text_encoder", "transformers", "Qwen2_5_VLForConditionalGeneration", both)
    words(case, "tiny-qwen-image", "Qwen2Tokenizer", "chat_template.jinja")
    channels = rng.choice([4, 8])
    axes, head = rng.choice([([4, 6, 6], 16), ([4, 2, 2], 8), ([8, 4, 4], 16)])
    config = published("tiny-qwen-image", "transformer")
    config.update(
        attention_head_dim=head, axes_dims_rope=axes, in_channels=4 * channels, out_channels=channels, joint_attention_dim=hidden + unfitting(rng, case),
        num_attention_heads=rng.choice([1, 2, 3]), num_layers=rng.choice([1, 2]),
    )  # fmt: skip
    for key in ("use_additional_t_cond", "use_layer3d_rope", "zero_cond_t"):
        if rng.random() < 0.5:
            del config[key]
    case.network("transformer", "diffusers", "QwenImageTransformer2DModel", config)
    levels = rng.choice([2, 3])
    coder = published("tiny-qwen-image", "vae")
    coder.update(
        z_dim=channels, dim_mult=[1, 2, 2][:levels], temperal_downsample=[rng.choice([True, False]) for _ in range(levels - 1)], base_dim=rng.choice([4, 8]),
        latents_mean=[round(rng.uniform(-1, 1), 4) for _ in range(channels)], latents_std=[round(rng.uniform(0.5, 2), 4) for _ in range(channels)],
    )  # fmt: skip
    case.network("vae", "diffusers", "AutoencoderKLQwenImage", coder)
    arguments = dict(prompt=PROMPT, num_inference_steps=4, **SIZE)
    if rng.random() < 0.6:
        arguments.update(negative_prompt=rng.choice([NEGATIVE, " "]), true_cfg_scale=rng.choice([2.0, 4.0]))
    return case.ask(images_of(rng, case, arguments), **arguments)


def pixart(rng, case):
    wide = rng.choice([16, 24])
    text = published("tiny-pixart-alpha", "text_encoder")
    text.update(d_model=wide, d_kv=rng.choice([4, 8]), num_heads=rng.choice([1, 2]), num_layers=rng.choice([1, 2]), feed_forward_proj=rng.choice(["gated-gelu", "relu"]))
    for key in ("dense_act_fn", "is_gated_act"):
        del text[key]
    case.network("text_encoder", "transformers", "T5EncoderModel", text)
    case.json["weights"]["text_encoder"]["tensors"].pop("encoder.embed_tokens.weight", None)
    words(case, "tiny-pixart-alpha", "T5Tokenizer")
    heads, head = rng.choice([(2, 8), (3, 8), (2, 12)])
    config = published("tiny-pixart-alpha", "transformer")
    config.update(
        num_attention_heads=heads, attention_head_dim=head, cross_attention_dim=heads * head, caption_channels=wide + unfitting(rng, case), num_layers=rng.choice([1, 2]),
        out_channels=rng.choice([4, 8]), patch_size=rng.choice([1, 2]), sample_size=rng.choice([8, 64, 128]), attention_bias=rng.choice([True, False]),
        interpolation_scale=rng.choice([None, 1, 2]),
    )  # fmt: skip
    if rng.random() < 0.5:
        del config["use_additional_conditions"]
    case.network("transformer", "diffusers", "PixArtTransformer2DModel", config)
    levels = rng.choice([2, 3])
    case.network("vae", "diffusers", "AutoencoderKL", {**VAE, "block_out_channels": [8] * levels, "down_block_types": ["DownEncoderBlock2D"] * levels, "up_block_types": ["UpDecoderBlock2D"] * levels})
    case.scheduler("DPMSolverMultistepScheduler", {"_class_name": "DPMSolverMultistepScheduler", "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear", "solver_order": rng.choice([1, 2])})
    arguments = dict(prompt=PROMPT, negative_prompt=rng.choice(["", NEGATIVE]), num_inference_steps=4, guidance_scale=rng.choice([1.0, 4.5]), **SIZE)
    case.json["options"] = dict(clean_caption=False, use_resolution_binning=False)
    return case.ask(**arguments)


def sana(rng, case):
    hidden, heads = rng.choice([16, 24]), rng.choice([2, 4])
    text = published("tiny-sana", "text_encoder")
    text.update(hidden_size=hidden, intermediate_size=hidden + 8, num_attention_heads=heads, num_key_value_heads=rng.choice([1, heads]), head_dim=rng.choice([8, 16]))
    text.update(query_pre_attn_scalar=rng.choice([8, 64]), attn_logit_softcapping=rng.choice([5.0, 50.0]))
    case.network("text_encoder", "transformers", "Gemma2Model", layered(text, rng.choice([1, 2, 3]), ("sliding_attention", "full_attention")))
    words(case, "tiny-sana", "GemmaTokenizer")
    heads, head, cross = rng.choice([(4, 8, 2), (2, 12, 3), (2, 8, 1)])
    channels = rng.choice([4, 8])
    config = published("tiny-sana", "transformer")
    config.update(
        num_attention_heads=heads, attention_head_dim=head, num_cross_attention_heads=cross, cross_attention_head_dim=heads * head // cross, cross_attention_dim=heads * head,
        caption_channels=hidden + unfitting(rng, case), in_channels=channels, out_channels=channels, num_layers=rng.choice([1, 2]), mlp_ratio=rng.choice([2.0, 2.5]),
        qk_norm=rng.choice([None, "rms_norm_across_heads"]), attention_bias=rng.choice([True, False]), interpolation_scale=rng.choice([None, 2.0]), timestep_scale=rng.choice([1.0, 0.001]),
    )  # fmt: skip
    for key in ("guidance_embeds", "guidance_embeds_scale", "timestep_scale", "qk_norm"):
        if rng.random() < 0.4:
            del config[key]
    case.network("transformer", "diffusers", "SanaTransformer2DModel", config)
    coder = published("tiny-sana", "vae")
    coder.update(latent_channels=channels, scaling_factor=rng.choice([0.41407, 1.0]), encoder_layers_per_block=[rng.choice([1, 2]) for _ in range(3)], decoder_layers_per_block=[rng.choice([1, 2]) for _ in range(3)])
    coder.update(decoder_qkv_multiscales=[[], [], rng.choice([[], [3], [3, 5]])], upsample_block_type=rng.choice(["pixel_shuffle", "interpolate"]))
    case.network("vae", "diffusers", "AutoencoderDC", coder)
    config = {"_class_name": "DPMSolverMultistepScheduler", "beta_schedule": "linear", "prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": rng.choice([1.0, 3.0])}
    case.scheduler("DPMSolverMultistepScheduler", config)
    arguments = dict(prompt=PROMPT, negative_prompt=rng.choice(["", NEGATIVE]), num_inference_steps=4, guidance_scale=rng.choice([1.0, 4.5]), height=32, width=32)
    case.json["options"] = dict(use_resolution_binning=False)
    return case.ask(**arguments)


def lumina_2(rng, case):
    hidden, heads = rng.choice([16, 24]), rng.choice([2, 4])
    text = published("tiny-lumina-2", "text_encoder")
    text.update(hidden_size=hidden, intermediate_size=hidden + 8, num_attention_heads=heads, num_key_value_heads=rng.choice([1, heads]), head_dim=rng.choice([8, 16]))
    text.update(query_pre_attn_scalar=rng.choice([8, 64]), attn_logit_softcapping=rng.choice([5.0, 50.0]))
    case.network("text_encoder", "transformers", "Gemma2Model", layered(text, rng.choice([2, 3]), ("sliding_attention", "full_attention")))
    words(case, "tiny-lumina-2", "GemmaTokenizer")
    heads, keys = rng.choice([(4, 2), (3, 1), (2, 2)])
    axes = rng.choice([[4, 2, 2], [4, 6, 6], [8, 4, 4]])
    channels = rng.choice([4, 16])
    config = published("tiny-lumina-2", "transformer")
    config.update(
        hidden_size=heads * sum(axes), num_attention_heads=heads, num_kv_heads=keys, axes_dim_rope=axes, cap_feat_dim=hidden + unfitting(rng, case), in_channels=channels,
        num_layers=rng.choice([1, 2]), num_refiner_layers=rng.choice([1, 2]), multiple_of=rng.choice([8, 20]), ffn_dim_multiplier=rng.choice([None, 0.5, 1.3]), norm_eps=rng.choice([1e-5, 1e-6]),
    )  # fmt: skip
    if rng.random() < 0.5:
        del config["out_channels"], config["scaling_factor"]
    case.network("transformer", "diffusers", "Lumina2Transformer2DModel", config)
    autoencoder(rng, case, channels, 4)
    arguments = dict(prompt=PROMPT, num_inference_steps=3, guidance_scale=rng.choice([1.0, 4.0]), height=32, width=32)
    if rng.random() < 0.5:
        arguments.update(negative_prompt=NEGATIVE, max_sequence_length=rng.choice([40, 128]))
    return case.ask(**arguments)


DRAWN = {"StableDiffusion3": sd3, "Flux": flux, "ZImage": z_image, "QwenImage": qwen_image, "PixArt": pixart, "Sana": sana, "Lumina2": lumina_2}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the files")
    parser.add_argument("classes", nargs="*", help="all, if none is named")
    options = parser.parse_args()
    configure()
    for pipeline in options.classes or CLASSES:
        cases = []
        for number in range(options.count):
            rng = random.Random(f"{options.seed} {pipeline} {number}")
            case = Case(f"{pipeline} {number}", zlib.crc32(f"{pipeline} {number}".encode()) % 1000, pipeline)
            flow(rng, case)
            next(draw for start, draw in DRAWN.items() if pipeline.startswith(start))(rng, case)
            cases.append(case.expect())
            for expected in case.json["expected"]:
                print(pipeline, number, expected.get("refused", f"inside {expected.get('inside')}"))
        pack(cases, options.out / f"{pipeline}.json.gz")


if __name__ == "__main__":
    main()
