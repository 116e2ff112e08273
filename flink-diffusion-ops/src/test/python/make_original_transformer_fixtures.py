#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/original-transformers/: transformers by their authors' names.

<family>-original.safetensors   random tensors in tiny shapes, as the authors' files have them; sd3 with its text encoders in it
<family>-diffusers.safetensors  what diffusers' conversion functions make of them; names begin with the component's
<lora>-lora.safetensors         LoRAs of some layers, in the spellings of trainers
<lora>-merged.safetensors       the layers that change, as diffusers' functions convert the authors' weights with the LoRA added

Run: python make_original_transformer_fixtures.py [--scripts DIFFUSERS/scripts] [family ...]   (see requirements.txt)
PixArt's is written with --scripts alone: what converts it is in diffusers' repository and not in its package.
"""

import argparse
import inspect
from pathlib import Path
from types import SimpleNamespace

import diffusers.loaders.single_file_utils as utils
import torch
from diffusers import AutoencoderKLQwenImage, PixArtTransformer2DModel
from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES
from safetensors.torch import load_file, save_file

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("families", nargs="*")
parser.add_argument("--scripts", type=Path)
options = parser.parse_args()
OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "original-transformers"
OUT.mkdir(parents=True, exist_ok=True)
generator = torch.Generator().manual_seed(22)
WIDTH = 8


def tensor(*shape):
    return torch.randint(-100, 100, shape, generator=generator).to(torch.float16)


class File:
    def __init__(self, prefix):
        self.prefix, self.tensors = prefix, {}

    def linear(self, name, rows, columns):
        self.put(name + ".weight", rows, columns)
        self.put(name + ".bias", rows)

    def put(self, name, *shape):
        self.tensors[self.prefix + name] = tensor(*shape)


def flux(prefix, guidance):
    file, w = File(prefix), WIDTH
    for name, columns in (("time_in", 4), ("vector_in", 6)) + ((("guidance_in", 4),) if guidance else ()):
        file.linear(name + ".in_layer", w, columns)
        file.linear(name + ".out_layer", w, w)
    file.linear("txt_in", w, 5)
    file.linear("img_in", w, 16)
    for i in range(3):
        for side in ("img", "txt"):
            block = f"double_blocks.{i}.{side}_"
            file.linear(block + "mod.lin", 6 * w, w)
            file.linear(block + "attn.qkv", 3 * w, w)
            file.linear(block + "attn.proj", w, w)
            file.put(block + "attn.norm.query_norm.scale", 4)
            file.put(block + "attn.norm.key_norm.scale", 4)
            file.linear(block + "mlp.0", 4 * w, w)
            file.linear(block + "mlp.2", w, 4 * w)
    for i in range(2):
        block = f"single_blocks.{i}."
        file.linear(block + "modulation.lin", 3 * w, w)
        file.linear(block + "linear1", 7 * w, w)
        file.linear(block + "linear2", w, 5 * w)
        file.put(block + "norm.query_norm.scale", 4)
        file.put(block + "norm.key_norm.scale", 4)
    file.linear("final_layer.linear", 16, w)
    file.linear("final_layer.adaLN_modulation.1", 2 * w, w)
    return file.tensors


def flux_conversion(tensors):
    # The width is written into the function.
    source = inspect.getsource(utils.convert_flux_transformer_checkpoint_to_diffusers)
    assert "inner_dim = 3072" in source
    names = vars(utils).copy()
    exec(source.replace("inner_dim = 3072", f"inner_dim = {WIDTH}"), names)
    return names["convert_flux_transformer_checkpoint_to_diffusers"](tensors)


def sd3(prefix, layers, dual, norms):
    file, w = File(prefix), WIDTH
    file.put("pos_embed", 1, 9, w)
    file.put("x_embedder.proj.weight", w, 4, 2, 2)
    file.put("x_embedder.proj.bias", w)
    for name, columns in (("t_embedder", 4), ("y_embedder", 6)):
        file.linear(name + ".mlp.0", w, columns)
        file.linear(name + ".mlp.2", w, w)
    file.linear("context_embedder", w, 5)
    for i in range(layers):
        for side in ("x", "context"):
            last = side == "context" and i == layers - 1
            block = f"joint_blocks.{i}.{side}_block."
            for attention in ("attn", "attn2") if side == "x" and i in dual else ("attn",):
                file.linear(block + attention + ".qkv", 3 * w, w)
                if norms:
                    file.put(block + attention + ".ln_q.weight", 4)
                    file.put(block + attention + ".ln_k.weight", 4)
                if not last:
                    file.linear(block + attention + ".proj", w, w)
            parts = 2 if last else 9 if side == "x" and i in dual else 6
            file.linear(block + "adaLN_modulation.1", parts * w, w)
            if not last:
                file.linear(block + "mlp.fc1", 4 * w, w)
                file.linear(block + "mlp.fc2", w, 4 * w)
    file.linear("final_layer.linear", 16, w)
    file.linear("final_layer.adaLN_modulation.1", 2 * w, w)
    return file.tensors


def clip(prefix, width, projection):
    file = File(prefix)
    file.put("text_model.embeddings.token_embedding.weight", 20, width)
    file.put("text_model.embeddings.position_embedding.weight", 7, width)
    layer = "text_model.encoder.layers.0."
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        file.linear(layer + "self_attn." + name, width, width)
    file.put("text_model.final_layer_norm.weight", width)
    if projection:
        file.put("text_projection.weight", width, width)
    return file.tensors


def t5():
    file = File("text_encoders.t5xxl.transformer.")
    file.put("shared.weight", 20, WIDTH)
    file.put("encoder.block.0.layer.0.SelfAttention.q.weight", WIDTH, WIDTH)
    file.put("encoder.final_layer_norm.weight", WIDTH)
    return file.tensors


def vae():
    file = File("first_stage_model.")
    for half in ("encoder", "decoder"):
        for name in ("norm1", "norm2"):
            file.put(f"{half}.mid.block_1.{name}.weight", WIDTH)
        file.put(f"{half}.conv_out.weight", 4, WIDTH, 3, 3)
        direction = "down" if half == "encoder" else "up"
        for level in range(2):
            file.put(f"{half}.{direction}.{level}.block.0.conv1.weight", WIDTH, WIDTH, 3, 3)
    return file.tensors


def z_image(prefix):
    file, w = File(prefix), WIDTH
    file.linear("x_embedder", w, 16)
    file.linear("final_layer.linear", 16, w)
    file.linear("final_layer.adaLN_modulation.1", w, w)
    file.put("norm_final.weight", w)
    file.put("x_pad_token", 1, w)
    for block in ("layers.0.", "layers.1.", "noise_refiner.0.", "context_refiner.0."):
        file.put(block + "attention.qkv.weight", 3 * w, w)
        file.put(block + "attention.out.weight", w, w)
        file.put(block + "attention.q_norm.weight", 4)
        file.put(block + "attention.k_norm.weight", 4)
        file.put(block + "feed_forward.w1.weight", 2 * w, w)
        if not block.startswith("context"):
            file.linear(block + "adaLN_modulation.0", 4 * w, w)
    return file.tensors


def qwen_image():
    """ComfyUI's file of all networks: the transformer has diffusers' names there, the text encoder transformers', the autoencoder Wan's."""
    file, w = File("model.diffusion_model."), WIDTH
    file.linear("img_in", w, 16)
    file.linear("proj_out", 16, w)
    file.put("txt_norm.weight", 6)
    for i in range(2):
        for side in ("img", "txt"):
            file.linear(f"transformer_blocks.{i}.{side}_mod.1", 6 * w, w)
    return file.tensors


def language(prefix):
    file = File(prefix)
    file.put("model.embed_tokens.weight", 20, WIDTH)
    file.linear("model.layers.0.self_attn.q_proj", WIDTH, WIDTH)
    file.put("model.norm.weight", WIDTH)
    return file.tensors


def video_vae(prefix, base, multipliers, blocks, temporal):
    """Wan's autoencoder, whose blocks are numbered through."""
    file = File(prefix)
    half = 2

    def convolution(name, out, channels, *kernel):
        file.put(name + ".weight", out, channels, *kernel)
        file.put(name + ".bias", out)

    def residual(name, channels, out):
        file.put(name + ".residual.0.gamma", channels, 1, 1, 1)
        convolution(name + ".residual.2", out, channels, 3, 3, 3)
        file.put(name + ".residual.3.gamma", out, 1, 1, 1)
        convolution(name + ".residual.6", out, out, 3, 3, 3)
        if channels != out:
            convolution(name + ".shortcut", out, channels, 1, 1, 1)

    def middle(name, channels):
        residual(name + ".middle.0", channels, channels)
        file.put(name + ".middle.1.norm.gamma", channels, 1, 1)
        convolution(name + ".middle.1.to_qkv", 3 * channels, channels, 1, 1)
        convolution(name + ".middle.1.proj", channels, channels, 1, 1)
        residual(name + ".middle.2", channels, channels)

    sizes = [base * each for each in multipliers]
    convolution("encoder.conv1", base, 3, 3, 3, 3)
    channels, number = base, 0
    for level, out in enumerate(sizes):
        for _ in range(blocks):
            residual(f"encoder.downsamples.{number}", channels, out)
            channels, number = out, number + 1
        if level < len(sizes) - 1:
            convolution(f"encoder.downsamples.{number}.resample.1", out, out, 3, 3)
            if temporal[level]:
                convolution(f"encoder.downsamples.{number}.time_conv", out, out, 3, 1, 1)
            number += 1
    middle("encoder", channels)
    file.put("encoder.head.0.gamma", channels, 1, 1, 1)
    convolution("encoder.head.2", 2 * half, channels, 3, 3, 3)
    convolution("conv1", 2 * half, 2 * half, 1, 1, 1)
    convolution("conv2", half, half, 1, 1, 1)
    convolution("decoder.conv1", channels, half, 3, 3, 3)
    middle("decoder", channels)
    number = 0
    for level, out in enumerate(reversed(sizes)):
        for _ in range(blocks + 1):
            residual(f"decoder.upsamples.{number}", channels, out)
            channels, number = out, number + 1
        if level < len(sizes) - 1:
            convolution(f"decoder.upsamples.{number}.resample.1", out // 2, out, 3, 3)
            if list(reversed(temporal))[level]:
                convolution(f"decoder.upsamples.{number}.time_conv", 2 * out, out, 3, 1, 1)
            channels, number = out // 2, number + 1
    file.put("decoder.head.0.gamma", channels, 1, 1, 1)
    convolution("decoder.head.2", 3, channels, 3, 3, 3)
    return file.tensors


def without(prefix, tensors):
    return {key[len(prefix) :]: value for key, value in tensors.items()}


def require_names(cls, config, converted):
    """What was converted has every tensor of diffusers' network in its shape, and no other."""
    with torch.device("meta"):
        wanted = {key: value.shape for key, value in cls.from_config(config).state_dict().items()}
    found = {key: value.shape for key, value in converted.items()}
    assert found == wanted, (set(wanted) ^ set(found), [key for key in found if found[key] != wanted.get(key)])


PIXART = dict(num_attention_heads=2, attention_head_dim=4, in_channels=4, out_channels=8, num_layers=2, cross_attention_dim=8, caption_channels=6, sample_size=8, patch_size=2)


def pixart(prefix, sized):
    file, w = File(prefix), WIDTH
    file.put("pos_embed", 1, 16, w)
    file.put("x_embedder.proj.weight", w, 4, 2, 2)
    file.put("x_embedder.proj.bias", w)
    file.put("y_embedder.y_embedding", 120, 6)
    file.linear("y_embedder.y_proj.fc1", w, 6)
    file.linear("y_embedder.y_proj.fc2", w, w)
    file.linear("t_embedder.mlp.0", w, 256)
    file.linear("t_embedder.mlp.2", w, w)
    if sized:
        for name in ("csize_embedder", "ar_embedder"):
            file.linear(name + ".mlp.0", w // 3, 256)
            file.linear(name + ".mlp.2", w // 3, w // 3)
    file.linear("t_block.1", 6 * w, w)
    for i in range(2):
        block = f"blocks.{i}."
        file.put(block + "scale_shift_table", 6, w)
        file.linear(block + "attn.qkv", 3 * w, w)
        file.linear(block + "attn.proj", w, w)
        file.linear(block + "cross_attn.q_linear", w, w)
        file.linear(block + "cross_attn.kv_linear", 2 * w, w)
        file.linear(block + "cross_attn.proj", w, w)
        file.linear(block + "mlp.fc1", 4 * w, w)
        file.linear(block + "mlp.fc2", w, 4 * w)
    file.linear("final_layer.linear", 2 * 2 * 8, w)
    file.put("final_layer.scale_shift_table", 2, w)
    return file.tensors


def pixart_conversion(script, tensors, sized):
    """The part of the script that renames, with this number of layers."""
    source = (options.scripts / script).read_text(encoding="utf-8")
    start, end = source.index("    # Patch embeddings."), source.index("XL/2\n")
    lines = inspect.cleandoc(source[start : source.rindex("\n", 0, end)])
    assert "range(28)" in lines
    names = dict(torch=torch, state_dict=dict(tensors), converted_state_dict={}, args=SimpleNamespace(image_size=1024 if sized else 512, micro_condition=sized, qk_norm=False))
    exec(lines.replace("range(28)", "range(2)"), names)
    assert set(names["state_dict"]) == {"pos_embed", "y_embedder.y_embedding"}
    return names["converted_state_dict"]


def wanted(family):
    return not options.families or family in options.families


def write(family, tensors, converted):
    if not wanted(family):
        return
    assert all(value.is_contiguous() for value in tensors.values())
    save_file(tensors, OUT / f"{family}-original.safetensors")
    flat = {
        f"{component}.{name}": value.contiguous().clone() for component, part in converted.items() for name, value in part.items()
    }
    save_file(flat, OUT / f"{family}-diffusers.safetensors")
    for file in OUT.glob(f"{family}-*"):
        file.chmod(0o644)


file = flux("", guidance=False)
write("flux-schnell", file, {"transformer": flux_conversion(dict(file))})
file = flux("model.diffusion_model.", guidance=True)
write("flux-dev", file, {"transformer": flux_conversion(dict(file))})
file = sd3("", 3, (), norms=False)
write("sd3-plain", file, {"transformer": utils.convert_sd3_transformer_checkpoint_to_diffusers(dict(file))})
file = z_image("model.diffusion_model.")
write("z-image", file, {"transformer": utils.convert_z_image_transformer_checkpoint_to_diffusers(dict(file))})

transformer = sd3("model.diffusion_model.", 3, (0, 1), norms=True)
clip_l = clip("text_encoders.clip_l.transformer.", 6, projection=True)
clip_g = clip("text_encoders.clip_g.transformer.", 10, projection=True)
autoencoder = vae()
file = {**transformer, **clip_l, **clip_g, **t5(), **autoencoder}
first = utils.convert_ldm_clip_checkpoint(dict(clip_l), "text_encoders.clip_l.transformer.")
first["text_projection.weight"] = torch.eye(6).to(torch.float16)
write(
    "sd3",
    file,
    {
        "transformer": utils.convert_sd3_transformer_checkpoint_to_diffusers(dict(transformer)),
        "text_encoder": first,
        "text_encoder_2": utils.convert_ldm_clip_checkpoint(dict(clip_g), "text_encoders.clip_g.transformer."),
        "text_encoder_3": utils.convert_sd3_t5_checkpoint_to_diffusers(dict(file)),
        "vae": utils.convert_ldm_vae_checkpoint(dict(autoencoder), {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}),
    },
)


def lora(name, tensors, convert, paths, spelling, rank=2, alpha=3.0):
    """Layers of the authors' weights with random factors added, before and after conversion."""
    factors, merged = {}, {key: value.float() for key, value in tensors.items()}
    prefix = next(key for key in tensors if key.endswith("final_layer.linear.weight"))[: -len("final_layer.linear.weight")]
    for path in paths:
        weight = merged[prefix + path + ".weight"]
        down = torch.randn(rank, weight.shape[1], generator=generator)
        up = torch.randn(weight.shape[0], rank, generator=generator)
        merged[prefix + path + ".weight"] = weight + alpha / rank * (up @ down)
        if spelling == "kohya":
            key = "lora_unet_" + path.replace(".", "_")
            factors |= {key + ".lora_down.weight": down, key + ".lora_up.weight": up, key + ".alpha": torch.tensor(alpha)}
        else:
            key = spelling + path
            factors |= {key + ".lora_A.weight": down * alpha / rank, key + ".lora_B.weight": up}
    before, after = convert({key: value.float() for key, value in tensors.items()}), convert(dict(merged))
    changed = {key: after[key].contiguous() for key in after if not torch.equal(after[key], before[key])}
    if not wanted(name):
        return
    save_file(factors, OUT / f"{name}-lora.safetensors")
    save_file(changed, OUT / f"{name}-merged.safetensors")
    for file in OUT.glob(f"{name}-*"):
        file.chmod(0o644)


FLUX = [
    "double_blocks.1.img_attn.qkv",
    "double_blocks.1.txt_attn.qkv",
    "double_blocks.2.img_attn.proj",
    "double_blocks.0.txt_mlp.2",
    "double_blocks.0.img_mod.lin",
    "single_blocks.1.linear1",
    "single_blocks.0.linear2",
    "single_blocks.0.modulation.lin",
    "final_layer.linear",
    "final_layer.adaLN_modulation.1",
    "img_in",
    "guidance_in.in_layer",
]
SD3 = [
    "joint_blocks.0.x_block.attn.qkv",
    "joint_blocks.2.context_block.attn.qkv",
    "joint_blocks.1.x_block.attn2.qkv",
    "joint_blocks.1.context_block.mlp.fc1",
    "joint_blocks.2.context_block.adaLN_modulation.1",
    "joint_blocks.0.x_block.adaLN_modulation.1",
    "context_embedder",
    "y_embedder.mlp.0",
]
dev = load_file(OUT / "flux-dev-original.safetensors")
lora("flux-kohya", dev, flux_conversion, FLUX, "kohya")
lora("flux-bfl", dev, flux_conversion, FLUX, "diffusion_model.")
lora("sd3-kohya", transformer, utils.convert_sd3_transformer_checkpoint_to_diffusers, SD3, "kohya")

if wanted("qwen-image"):
    transformer, encoder = qwen_image(), language("text_encoders.qwen25_7b.transformer.")
    autoencoder = video_vae("vae.", 2, [1, 2, 4, 4], 2, [False, True, True])
    converted = utils.convert_wan_vae_to_diffusers(without("vae.", autoencoder))
    require_names(AutoencoderKLQwenImage, dict(base_dim=2, z_dim=2, dim_mult=[1, 2, 4, 4], num_res_blocks=2, temperal_downsample=[False, True, True]), converted)
    same = SINGLE_FILE_LOADABLE_CLASSES["QwenImageTransformer2DModel"]["checkpoint_mapping_fn"]
    write(
        "qwen-image",
        {**transformer, **encoder, **autoencoder},
        {
            "transformer": same(without("model.diffusion_model.", transformer)),
            "text_encoder": without("text_encoders.qwen25_7b.transformer.", encoder),
            "vae": converted,
        },
    )
if options.scripts:
    for family, script, sized, prefix in (("pixart-alpha", "alpha", True, ""), ("pixart-sigma", "sigma", False, "model.diffusion_model.")):
        file = pixart(prefix, sized)
        converted = pixart_conversion(f"convert_pixart_{script}_to_diffusers.py", without(prefix, file), sized)
        config = {**PIXART, "use_additional_conditions": sized}
        converted = {key: value.contiguous() for key, value in converted.items()}
        if not sized:  # a third of this width, which is no whole number, is what diffusers would want
            require_names(PixArtTransformer2DModel, config, converted)
        write(family, file, {"transformer": converted})
