#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Networks in the shapes of published models, with random weights, beside diffusers. Nothing is downloaded.

    full_size.py make NETWORK FOLDER         writes the network's folder and the inputs of one call
    full_size.py reference FOLDER [DTYPE]    one call by diffusers or transformers; writes reference.safetensors
    full_size.py compare FOLDER              reference.safetensors beside ours.safetensors, which FullSizeProbe writes

NETWORK is one of:
    sd35-medium   the transformer of Stable Diffusion 3.5 medium (2.5 billion parameters, 5 GB in bfloat16), 256 x 256 pixels
    t5-xxl        the text encoder that it shares with Flux.1 (4.8 billion, 9.5 GB), 256 tokens
    t5-2          the first 2 of its 24 layers
    flux-4-8      Flux.1 at full width with 4 + 8 of its 19 + 38 blocks (2.6 billion, 5.3 GB), 256 x 256 pixels
    flux-schnell  all of Flux.1-schnell (12 billion, 24 GB) as files of holes, but for the tensors outside of blocks and those of the
                  first double and the first single block; its reference is the network of those two blocks

Both sides print seconds and peak resident memory. Weights are bfloat16 on disk; DTYPE (float32 or bfloat16) is what they compute in.
"""

import json
import math
import resource
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

SHARD = 4 << 30
SD35 = dict(
    sample_size=128, patch_size=2, in_channels=16, num_layers=24, attention_head_dim=64, num_attention_heads=24,
    joint_attention_dim=4096, caption_projection_dim=1536, pooled_projection_dim=2048, out_channels=16, pos_embed_max_size=384,
    dual_attention_layers=list(range(13)), qk_norm="rms_norm",
)  # fmt: skip
FLUX = dict(
    patch_size=1, in_channels=64, num_layers=19, num_single_layers=38, attention_head_dim=128, num_attention_heads=24,
    joint_attention_dim=4096, pooled_projection_dim=768, guidance_embeds=False, axes_dims_rope=[16, 56, 56],
)  # fmt: skip
T5 = dict(
    vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, relative_attention_num_buckets=32,
    relative_attention_max_distance=128, feed_forward_proj="gated-gelu", is_encoder_decoder=False, tie_word_embeddings=False,
)  # fmt: skip
CLASSES = {
    "sd35-medium": ("transformer", "diffusers", "SD3Transformer2DModel", SD35),
    "flux-4-8": ("transformer", "diffusers", "FluxTransformer2DModel", {**FLUX, "num_layers": 4, "num_single_layers": 8}),
    "flux-schnell": ("transformer", "diffusers", "FluxTransformer2DModel", FLUX),
    "t5-xxl": ("text_encoder", "transformers", "T5EncoderModel", T5),
    "t5-2": ("text_encoder", "transformers", "T5EncoderModel", {**T5, "num_layers": 2}),
}
BLOCKS = ("transformer_blocks.", "single_transformer_blocks.")
PERIOD = (1 << 24) - 3
NOISE = torch.randn(PERIOD, generator=torch.Generator().manual_seed(0)).repeat(2)


def empty(class_name, config):
    if class_name == "T5EncoderModel":
        from transformers import T5Config, T5EncoderModel

        with torch.device("meta"):
            return T5EncoderModel(T5Config(**config)), T5Config(**config).to_dict()
    import diffusers

    with torch.device("meta"):
        model = getattr(diffusers, class_name)(**config)
    return model, dict(model.config)


def values(name, shape):
    """Small random numbers of a size that keeps activations near one; from a table, which is faster than a generator."""
    count = math.prod(shape)
    start = hash_of(name) % PERIOD
    flat = NOISE[start : start + PERIOD]
    flat = flat[:count] if count <= PERIOD else flat.repeat(-(-count // PERIOD))[:count]
    flat = flat.reshape(shape)
    if len(shape) < 2:
        return (1 + 0.1 * flat if name.endswith("weight") else 0.1 * flat).bfloat16()
    if "shared" in name or "relative_attention_bias" in name:
        return flat.bfloat16()
    # T5 does not divide the products of queries and keys by the root of their size; its queries are initialized so much smaller.
    smaller = 8 if name.endswith("SelfAttention.q.weight") else 1
    return (flat / smaller / math.prod(shape[1:]) ** 0.5).bfloat16()


def hash_of(name):
    value = 7
    for character in name:
        value = (value * 1000003 + ord(character)) % (1 << 40)
    return value


def is_hole(network, name):
    return network == "flux-schnell" and name.startswith(BLOCKS) and name.split(".")[1] != "0"


def write_shard(path, tensors, network):
    """A safetensors file, of whose holes nothing is on disk."""
    header, end = {}, 0
    for name, shape in tensors.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        start = out.tell()
        for name, shape in tensors.items():
            if not is_hole(network, name):
                out.seek(start + header[name]["data_offsets"][0])
                out.write(values(name, shape).view(torch.int16).numpy().tobytes())
        out.truncate(start + end)


def make(network, folder):
    component, library, class_name, config = CLASSES[network]
    model, saved = empty(class_name, config)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.state_dict().items()}
    shapes.pop("encoder.embed_tokens.weight", None)  # the same as shared.weight
    base = folder / component
    base.mkdir(parents=True, exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "Of " + network, component: [library, class_name]}))
    (base / "config.json").write_text(json.dumps({**saved, "_class_name": class_name}))
    stem = "diffusion_pytorch_model" if library == "diffusers" else "model"
    shards, size = [{}], 0
    for name, shape in shapes.items():
        if size + 2 * math.prod(shape) > SHARD:
            shards.append({})
            size = 0
        shards[-1][name] = shape
        size += 2 * math.prod(shape)
    files = {}
    for i, shard in enumerate(shards):
        file = f"{stem}-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        write_shard(base / file, shard, network)
        files |= dict.fromkeys(shard, file)
    total = 2 * sum(math.prod(shape) for shape in shapes.values())
    index = {"metadata": {"total_size": total}, "weight_map": files}
    (base / f"{stem}.safetensors.index.json").write_text(json.dumps(index))
    generator = torch.Generator().manual_seed(1)

    def noise(*shape):
        return torch.randn(*shape, generator=generator)

    if class_name == "T5EncoderModel":
        inputs = {"ids": torch.randint(0, 32100, (1, 256), generator=generator)}
    elif class_name == "SD3Transformer2DModel":
        inputs = dict(sample=noise(1, 16, 32, 32), timestep=torch.tensor([875.0]), context=noise(1, 333, 4096), pooled=noise(1, 2048), kept=torch.ones(1, config["num_layers"]))
    else:
        inputs = dict(sample=noise(1, 16, 32, 32), timestep=torch.tensor([875.0]), context=noise(1, 256, 4096), pooled=noise(1, 768))
    save_file(inputs, folder / "inputs.safetensors")
    print(f"{network}: {total / 1e9:.2f} GB in {len(shards)} files, {len(shapes)} tensors")


def load(folder, dtype):
    component = next(path.parent for path in folder.glob("*/config.json"))
    class_name = json.loads((folder / "model_index.json").read_text())[component.name][1]
    if class_name == "T5EncoderModel":
        from transformers import T5EncoderModel

        return class_name, T5EncoderModel.from_pretrained(component, dtype=dtype).eval()
    import diffusers

    config = json.loads((component / "config.json").read_text())
    if config.get("num_layers") == 19:  # whole Flux: two blocks are compared
        config |= {"num_layers": 1, "num_single_layers": 1}
        config.pop("_class_name")
        model = diffusers.FluxTransformer2DModel.from_config(config).to(dtype)
        index = json.loads(next(component.glob("*.index.json")).read_text())["weight_map"]
        from safetensors import safe_open

        state = {}
        for name in model.state_dict():
            with safe_open(component / index[name], "pt") as file:
                state[name] = file.get_tensor(name).to(dtype)
        model.load_state_dict(state)
        return class_name, model.eval()
    return class_name, getattr(diffusers, class_name).from_pretrained(component, torch_dtype=dtype).eval()


def reference(folder, dtype):
    begin = time.time()
    class_name, model = load(folder, dtype)
    loaded = time.time()
    inputs = load_file(folder / "inputs.safetensors")
    with torch.inference_mode():
        if class_name == "T5EncoderModel":
            out = model(inputs["ids"]).last_hidden_state
        elif class_name == "SD3Transformer2DModel":
            out = model(
                inputs["sample"].to(dtype), inputs["context"].to(dtype), inputs["pooled"].to(dtype), inputs["timestep"]
            ).sample
        else:
            sample = inputs["sample"]
            n, c, h, w = sample.shape
            packed = sample.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(n, h * w // 4, 4 * c)
            ids = torch.zeros(h // 2, w // 2, 3)
            ids[..., 1] += torch.arange(h // 2)[:, None]
            ids[..., 2] += torch.arange(w // 2)[None]
            out = model(
                hidden_states=packed.to(dtype),
                encoder_hidden_states=inputs["context"].to(dtype),
                pooled_projections=inputs["pooled"].to(dtype),
                timestep=inputs["timestep"].to(dtype) / 1000,
                img_ids=ids.reshape(-1, 3),
                txt_ids=torch.zeros(inputs["context"].shape[1], 3),
            ).sample
            out = out.view(n, h // 2, w // 2, c, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(n, c, h, w)
    called = time.time()
    save_file({"out": out.float().contiguous()}, folder / "reference.safetensors")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"diffusers {str(dtype)[6:]}: open {loaded - begin:.1f} s, call {called - loaded:.1f} s, peak resident {peak:.0f} MiB")


def compare(folder):
    expected = load_file(folder / "reference.safetensors")["out"]
    found = load_file(folder / "ours.safetensors")["out"].reshape(expected.shape)
    difference = (expected - found).abs()
    print(
        f"largest difference {difference.max():.3g}, mean {difference.mean():.3g}, of values to {expected.abs().max():.3g}"
        f" with standard deviation {expected.std():.3g}"
    )


def main():
    command, *rest = sys.argv[1:]
    if command == "make":
        make(rest[0], Path(rest[1]))
    elif command == "reference":
        reference(Path(rest[0]), getattr(torch, rest[1] if len(rest) > 1 else "float32"))
    else:
        compare(Path(rest[0]))


if __name__ == "__main__":
    main()
