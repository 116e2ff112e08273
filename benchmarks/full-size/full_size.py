#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Networks in the shapes of published models, with random weights, beside diffusers. Nothing is downloaded.

    full_size.py make NETWORK FOLDER         writes the network's folder and the inputs of one call
    full_size.py reference FOLDER [DTYPE]    one call by diffusers or transformers; writes reference.safetensors
    full_size.py reference-caching FOLDER [DTYPE]   times Flux's whole calls, and those that FirstBlockCache shortens
    full_size.py compare FOLDER              reference.safetensors beside ours.safetensors, which FullSizeProbe writes
    full_size.py make-pipeline FOLDER        Stable Diffusion 3.5 medium with its three text encoders and its autoencoder, 17 GB
    full_size.py make-pipeline FOLDER no-t5  the same without T5-XXL, 7 GB
    full_size.py reference-pipeline FOLDER   an image of 256 x 256 pixels in one step: T5-XXL in bfloat16, the rest in float32

NETWORK is one of:
    sd35-medium   the transformer of Stable Diffusion 3.5 medium (2.5 billion parameters, 5 GB in bfloat16), 256 x 256 pixels
    t5-xxl        the text encoder that it shares with Flux.1 (4.8 billion, 9.5 GB), 256 tokens
    t5-2          the first 2 of its 24 layers
    flux-4-8      Flux.1 at full width with 4 + 8 of its 19 + 38 blocks (2.6 billion, 5.3 GB), 256 x 256 pixels
    flux-schnell  all of Flux.1-schnell (12 billion, 24 GB) as files of holes, but for the tensors outside of blocks and those of the
                  first double and the first single block; its reference is the network of those two blocks

Both sides print seconds and peak resident memory. Weights are bfloat16 on disk; DTYPE (float32 or bfloat16) is what they compute in.
"""

import gc
import json
import math
import resource
import shutil
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
    if class_name == "CLIPTextModelWithProjection":
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection

        with torch.device("meta"):
            return CLIPTextModelWithProjection(CLIPTextConfig(**config)), CLIPTextConfig(**config).to_dict()
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
    base = make_component(network, folder, component, library, class_name, config)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "Of " + network, component: [library, class_name]}))
    make_inputs(class_name, config, folder)
    return base


def make_component(network, folder, component, library, class_name, config):
    model, saved = empty(class_name, config)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.state_dict().items()}
    shapes.pop("encoder.embed_tokens.weight", None)  # the same as shared.weight
    base = folder / component
    base.mkdir(parents=True, exist_ok=True)
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
    print(f"{network}: {total / 1e9:.2f} GB in {len(shards)} files, {len(shapes)} tensors", flush=True)
    return base


def make_inputs(class_name, config, folder):
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


def clip(size, layers, act):
    return dict(
        vocab_size=49408, hidden_size=size, intermediate_size=4 * size, num_hidden_layers=layers, num_attention_heads=size // 64,
        max_position_embeddings=77, hidden_act=act, projection_dim=size, bos_token_id=0, eos_token_id=2, pad_token_id=1,
    )  # fmt: skip


PIPELINE = {
    "transformer": ("diffusers", "SD3Transformer2DModel", SD35),
    "text_encoder": ("transformers", "CLIPTextModelWithProjection", clip(768, 12, "quick_gelu")),
    "text_encoder_2": ("transformers", "CLIPTextModelWithProjection", clip(1280, 32, "gelu")),
    "text_encoder_3": ("transformers", "T5EncoderModel", T5),
    "vae": ("diffusers", "AutoencoderKL", dict(
        in_channels=3, out_channels=3, down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[128, 256, 512, 512], layers_per_block=2, latent_channels=16, sample_size=1024, scaling_factor=1.5305,
        shift_factor=0.0609, force_upcast=True, use_quant_conv=False, use_post_quant_conv=False,
    )),
}  # fmt: skip
PROMPT = "a photo of an astronaut riding a horse on mars, highly detailed"
SEED = 3


def make_pipeline(folder, with_t5):
    """With the small tokenizers of the tests."""
    fixtures = Path(__file__).resolve().parents[2] / "flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd3"
    index = {"_class_name": "StableDiffusion3Pipeline"}
    for component, (library, class_name, config) in PIPELINE.items():
        if component == "text_encoder_3" and not with_t5:
            continue
        make_component(component, folder, component, library, class_name, config)
        index[component] = [library, class_name]
    for component, class_name in (("tokenizer", "CLIPTokenizer"), ("tokenizer_2", "CLIPTokenizer"), ("tokenizer_3", "T5Tokenizer")):
        shutil.copytree(fixtures / component, folder / component, dirs_exist_ok=True)
        index[component] = ["transformers", class_name]
    if not with_t5:
        index["text_encoder_3"] = index["tokenizer_3"] = [None, None]
    index["scheduler"] = ["diffusers", "FlowMatchEulerDiscreteScheduler"]
    (folder / "scheduler").mkdir(exist_ok=True)
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps({"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0}))
    (folder / "model_index.json").write_text(json.dumps(index))


def reference_pipeline(folder):
    """The texts first and T5 then away: all at once take 26 GB."""
    import diffusers
    import transformers

    begin = time.time()
    absent = {"transformer": None, "vae": None}
    t5 = None
    if (folder / "text_encoder_3").exists():
        t5 = transformers.T5EncoderModel.from_pretrained(folder / "text_encoder_3", dtype=torch.bfloat16).eval()
    else:
        absent = {"tokenizer_3": None, "vae": None}  # the transformer says how long zeros in place of T5's states are
    pipe = diffusers.StableDiffusion3Pipeline.from_pretrained(folder, torch_dtype=torch.float32, text_encoder_3=t5, **absent)
    with torch.inference_mode():
        texts = pipe.encode_prompt(PROMPT, None, None, do_classifier_free_guidance=False, max_sequence_length=256)
    encoded = time.time()
    del pipe, t5
    gc.collect()
    absent = {f"{part}{number}": None for part in ("text_encoder", "tokenizer") for number in ("", "_2", "_3")}
    pipe = diffusers.StableDiffusion3Pipeline.from_pretrained(folder, torch_dtype=torch.float32, **absent)
    loaded = time.time()
    latents = []

    def keep(pipe, step, timestep, values):
        latents.append(values["latents"].clone())
        return values

    image = pipe(
        prompt_embeds=texts[0].float(), pooled_prompt_embeds=texts[2].float(), guidance_scale=1.0, num_inference_steps=1, height=256, width=256,
        generator=torch.Generator().manual_seed(SEED), output_type="pt", callback_on_step_end=keep,
    ).images  # fmt: skip
    done = time.time()
    save_file(
        {"out": latents[-1][0].contiguous(), "image": image[0].contiguous(), "states": texts[0][0].float().contiguous(), "pooled": texts[2][0].float().contiguous()},
        folder / "reference.safetensors",
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"diffusers: texts {encoded - begin:.1f} s, load {loaded - encoded:.1f} s, a step and decoding {done - loaded:.1f} s, peak resident {peak:.0f} MiB")


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


def call(class_name, model, inputs, dtype):
    if class_name == "T5EncoderModel":
        return model(inputs["ids"]).last_hidden_state
    if class_name == "SD3Transformer2DModel":
        return model(inputs["sample"].to(dtype), inputs["context"].to(dtype), inputs["pooled"].to(dtype), inputs["timestep"]).sample
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
    return out.view(n, h // 2, w // 2, c, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(n, c, h, w)


def reference(folder, dtype):
    begin = time.time()
    class_name, model = load(folder, dtype)
    loaded = time.time()
    inputs = load_file(folder / "inputs.safetensors")
    with torch.inference_mode():
        out = call(class_name, model, inputs, dtype)
    called = time.time()
    save_file({"out": out.float().contiguous()}, folder / "reference.safetensors")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"diffusers {str(dtype)[6:]}: open {loaded - begin:.1f} s, call {called - loaded:.1f} s, peak resident {peak:.0f} MiB")


def reference_caching(folder, dtype):
    from diffusers.hooks import FirstBlockCacheConfig

    class_name, model = load(folder, dtype)
    inputs = load_file(folder / "inputs.safetensors")

    def seconds():
        begin = time.time()
        call(class_name, model, inputs, dtype)
        return time.time() - begin

    with torch.inference_mode():
        whole = [seconds() for _ in range(4)][1:]
        model.enable_cache(FirstBlockCacheConfig(threshold=1e9))
        with model.cache_context("one"):
            shallow = [seconds() for _ in range(5)][2:]  # the first is whole
    print("diffusers: whole", " ".join(f"{each:.3f}" for each in whole), "s, with FirstBlockCache", " ".join(f"{each:.3f}" for each in shallow), "s")


def compare(folder):
    reference, ours = load_file(folder / "reference.safetensors"), load_file(folder / "ours.safetensors")
    for name in sorted(ours):
        expected = reference[name]
        difference = (expected - ours[name].reshape(expected.shape)).abs()
        print(
            f"{name}: largest difference {difference.max():.3g}, mean {difference.mean():.3g}, of values to {expected.abs().max():.3g}"
            f" with standard deviation {expected.std():.3g}"
        )


def main():
    command, *rest = sys.argv[1:]
    if command == "make":
        make(rest[0], Path(rest[1]))
    elif command == "reference":
        reference(Path(rest[0]), getattr(torch, rest[1] if len(rest) > 1 else "float32"))
    elif command == "reference-caching":
        reference_caching(Path(rest[0]), getattr(torch, rest[1] if len(rest) > 1 else "float32"))
    elif command == "make-pipeline":
        make_pipeline(Path(rest[0]), rest[1:] != ["no-t5"])
    elif command == "reference-pipeline":
        reference_pipeline(Path(rest[0]))
    else:
        compare(Path(rest[0]))


if __name__ == "__main__":
    main()
