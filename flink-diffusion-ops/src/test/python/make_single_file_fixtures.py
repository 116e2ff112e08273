#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes what single-file checkpoints are compared with, under src/test/resources/fixtures/single-file.

``keys-<kind>.txt.gz`` lists every tensor of a kind of checkpoint in the shapes of the real one (nothing is allocated), and
``keys-tiny-<...>.txt.gz`` those of a folder under ``fixtures/models``. A line holds, separated by tabs: the name in the
single file, its shape, how it becomes the tensors of a diffusers folder, and those (``component:name``, in order):

    same        as it is
    linear      a 1x1 convolution there, a linear layer here
    fused       its rows are three tensors, one after the other
    transposed  rows and columns exchanged
    unused      not one of the folder's

``tokens.json`` holds texts and their ids with the bundled vocabulary, padded as Stable Diffusion 1 and as 2 do.

``tiny-sdxl.safetensors`` is the folder of that name as a single file.

The names come from the folder's by a mapping written here, against diffusers' direction; every file is then given to
diffusers' own conversion functions, and what they return must be the folder's tensors, bit for bit.
"""

import gzip
import json
import os
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402
from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: E402
from diffusers.loaders.single_file_utils import (  # noqa: E402
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
    infer_diffusers_model_type,
)
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer  # noqa: E402

from fixture_tools import FIXTURES, write_json  # noqa: E402

TARGET = FIXTURES.parent / "single-file"
MODELS = Path(__file__).resolve().parents[2] / "main/resources/io/github/flinkdiffusion/ops/weights/single-file-models.json"

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET_OUTSIDE = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding": "label_emb",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def unet_name(name, config):
    """The original name of a UNet's tensor."""
    stem, leaf = name.rsplit(".", 1)
    if stem in UNET_OUTSIDE:
        return f"{UNET_OUTSIDE[stem]}.{leaf}"
    parts = stem.split(".")
    per_level = config["layers_per_block"] + 1
    if parts[0] == "mid_block":
        if parts[1] == "attentions":
            return ".".join(["middle_block.1", *parts[3:], leaf])
        return f"middle_block.{0 if parts[2] == '0' else 2}.{RESNET['.'.join(parts[3:])]}.{leaf}"
    level, kind, index = int(parts[1]), parts[2], int(parts[3])
    rest = ".".join(parts[4:])
    if parts[0] == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks.{(level + 1) * per_level}.0.op.{leaf}"
        number, block = 1 + level * per_level + index, "input_blocks"
    else:
        number, block = level * per_level + index, "output_blocks"
        if kind == "upsamplers":
            place = 2 if "CrossAttn" in config["up_block_types"][level] else 1
            return f"output_blocks.{(level + 1) * per_level - 1}.{place}.conv.{leaf}"
    if kind == "resnets":
        return f"{block}.{number}.0.{RESNET[rest]}.{leaf}"
    return f"{block}.{number}.1.{rest}.{leaf}"


def vae_name(name, config):
    """The original name of an autoencoder's tensor, and whether it was a convolution."""
    stem, leaf = name.rsplit(".", 1)
    parts = stem.split(".")
    if len(parts) == 1:
        return name, False
    half, rest = parts[0], parts[1:]
    if len(rest) == 1:
        return f"{half}.{rest[0].replace('conv_norm_out', 'norm_out')}.{leaf}", False
    if rest[0] == "mid_block":
        if rest[1] == "attentions":
            projection = ".".join(rest[3:])
            return f"{half}.mid.attn_1.{VAE_ATTENTION[projection]}.{leaf}", projection != "group_norm" and leaf == "weight"
        return f"{half}.mid.block_{int(rest[2]) + 1}.{rest[3].replace('conv_shortcut', 'nin_shortcut')}.{leaf}", False
    direction, level = rest[0].split("_")[0], int(rest[1])
    if direction == "up":
        level = len(config["block_out_channels"]) - 1 - level
    if rest[2].endswith("samplers"):
        return f"{half}.{direction}.{level}.{direction}sample.conv.{leaf}", False
    return f"{half}.{direction}.{level}.block.{rest[3]}.{rest[4].replace('conv_shortcut', 'nin_shortcut')}.{leaf}", False


class SingleFile:
    def __init__(self):
        self.tensors, self.lines = {}, []

    def put(self, name, tensor, how, component="", *targets):
        assert name not in self.tensors, name
        self.tensors[name] = tensor.contiguous()
        shape = ",".join(map(str, tensor.shape))
        self.lines.append("\t".join([name, shape, how, " ".join(f"{component}:{target}" for target in targets)]).rstrip())

    def unet(self, weights, config):
        for name, tensor in weights.items():
            self.put("model.diffusion_model." + unet_name(name, config), tensor, "same", "unet", name)
        found = convert_ldm_unet_checkpoint(dict(self.tensors), config)
        check(found, weights)

    def vae(self, weights, config):
        for name, tensor in weights.items():
            original, was_convolution = vae_name(name, config)
            shown = tensor[:, :, None, None] if was_convolution else tensor
            self.put("first_stage_model." + original, shown, "linear" if was_convolution else "same", "vae", name)
        check(convert_ldm_vae_checkpoint(dict(self.tensors), config), weights)

    def clip(self, weights, component, prefix):
        for name, tensor in weights.items():
            self.put(prefix + name, tensor, "same", component, name)
        check(convert_ldm_clip_checkpoint(dict(self.tensors)), weights)
        self.put(prefix + "text_model.embeddings.position_ids", torch.arange(77)[None], "unused")

    def open_clip(self, weights, component, prefix, model, layers):
        width = weights["text_model.final_layer_norm.weight"].shape[0]
        weights_left = dict(weights)
        take = weights_left.pop
        outside = {
            "positional_embedding": "text_model.embeddings.position_embedding.weight",
            "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
            "ln_final.weight": "text_model.final_layer_norm.weight",
            "ln_final.bias": "text_model.final_layer_norm.bias",
        }
        for original, name in outside.items():
            self.put(prefix + original, take(name), "same", component, name)
        for layer in range(layers):
            ours, theirs = f"text_model.encoder.layers.{layer}.", f"{prefix}transformer.resblocks.{layer}."
            for leaf in ("weight", "bias"):
                names = [f"{ours}self_attn.{p}_proj.{leaf}" for p in "qkv"]
                self.put(f"{theirs}attn.in_proj_{leaf}", torch.cat([take(name) for name in names]), "fused", component, *names)
                for name, original in OPEN_CLIP.items():
                    self.put(f"{theirs}{original}.{leaf}", take(f"{ours}{name}.{leaf}"), "same", component, f"{ours}{name}.{leaf}")
        if "text_projection.weight" in weights_left:
            self.put(prefix + "text_projection", take("text_projection.weight").T, "transposed", component, "text_projection.weight")
        else:
            # Stable Diffusion 2 leaves out the last layer of its encoder; the file has it, and a projection that nobody uses.
            device = weights["text_model.final_layer_norm.weight"].device
            last = f"{prefix}transformer.resblocks.{layers}."
            self.put(prefix + "text_projection", torch.ones(width, width, device=device), "unused")
            self.put(last + "attn.in_proj_weight", torch.ones(3 * width, width, device=device), "unused")
            self.put(last + "ln_1.weight", torch.ones(width, device=device), "unused")
        assert not weights_left, list(weights_left)
        ignored = prefix + f"transformer.resblocks.{layers}."
        known = {name: tensor for name, tensor in self.tensors.items() if not name.startswith(ignored)}
        found = convert_open_clip_checkpoint(model, known, prefix=prefix)
        if "text_projection.weight" not in weights:
            found.pop("text_projection.weight", None)
        check(found, weights)
        self.put(prefix + "logit_scale", torch.ones(()), "unused")

    def extras(self):
        """What else the files of web interfaces hold."""
        self.put("alphas_cumprod", torch.ones(1000), "unused")
        self.put("model_ema.decay", torch.ones(()), "unused")

    def write_keys(self, name):
        TARGET.mkdir(parents=True, exist_ok=True)
        with open(TARGET / f"keys-{name}.txt.gz", "wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
            packed.write(("\n".join(sorted(self.lines)) + "\n").encode())


def check(found, wanted):
    """The conversion gave exactly these."""
    assert set(found) == set(wanted), sorted(set(found) ^ set(wanted))[:5]
    for name, tensor in wanted.items():
        assert found[name].shape == tensor.shape and found[name].dtype == tensor.dtype, name
        assert tensor.is_meta or torch.equal(found[name], tensor), name


def prefixed(weights):
    """transformers 5 saves a text encoder without projection without this prefix; conversions give it."""
    bare = any(name.startswith("embeddings.") for name in weights)
    return {"text_model." + name if bare else name: tensor for name, tensor in weights.items()}


def text_model(config):
    cls = CLIPTextModelWithProjection if config["architectures"] == ["CLIPTextModelWithProjection"] else CLIPTextModel
    with torch.device("meta"):
        return cls(CLIPTextConfig(**{key: value for key, value in config.items() if key not in ("architectures", "model_type")}))


def assemble(components):
    """A single file of ``component -> (config, weights)``."""
    file = SingleFile()
    config, weights = components["unet"]
    file.unet(weights, config)
    config, weights = components["vae"]
    file.vae(weights, config)
    both = "text_encoder" in components and "text_encoder_2" in components
    for name in ("text_encoder", "text_encoder_2"):
        if name in components:
            config, weights = components[name]
            weights = prefixed(weights)
            if config["hidden_act"] == "quick_gelu":
                file.clip(weights, name, "conditioner.embedders.0.transformer." if both else "cond_stage_model.transformer.")
            else:
                number = 1 if both else 0
                prefix = f"conditioner.embedders.{number}.model." if name == "text_encoder_2" else "cond_stage_model.model."
                file.open_clip(weights, name, prefix, text_model(config), config["num_hidden_layers"])
    file.extras()
    return file


def of_kind(kind):
    """In the shapes of the real checkpoint."""
    known = json.loads(MODELS.read_text())
    components = {}
    for name, part in known["models"][kind]["components"].items():
        config = known["parts"][part]
        if name == "unet" or name == "vae":
            cls = UNet2DConditionModel if name == "unet" else AutoencoderKL
            with torch.device("meta"):
                model = cls.from_config(config)
        elif name.startswith("text_encoder"):
            model = text_model(config)
        else:
            continue
        components[name] = (config, {key: tensor.half() for key, tensor in model.state_dict().items()})
    file = assemble(components)
    inferred = infer_diffusers_model_type(file.tensors)
    assert inferred == kind, (inferred, kind)
    file.write_keys(kind)
    return len(file.tensors)


def of_folder(name):
    folder = FIXTURES / name
    components = {}
    for part in sorted(path.parent for path in folder.glob("*/config.json")):
        weights = {}
        for path in sorted(part.glob("*.safetensors")):
            weights.update(load_file(str(path)))
        weights.pop("text_model.embeddings.position_ids", None)  # a buffer, which some conversions save
        components[part.name] = (json.loads((part / "config.json").read_text()), weights)
    file = assemble(components)
    file.write_keys(name)
    return file


TEXTS = [
    "",
    "a photo of an astronaut riding a horse on mars",
    "A PHOTO of an Astronaut!!! (masterpiece:1.2), 8k, hdr",
    "it's the cat's 1987 movie; they'll re-read 'em, won't they?",
    "naïve café, Größe, Ærø, œuvre, İstanbul, ﬁne",
    "日本の猫 и русская кошка 고양이 🐈‍⬛ 🙂",
    "<|startoftext|> written out <|endoftext|> and after",
    "wow! such! many!!!!",
    "   white\t\nspace   everywhere\u00a0here  ",
    "supercalifragilisticexpialidocious antidisestablishmentarianism floccinaucinihilipilification",
    "x" * 300,
    " ".join(["a long prompt that does not fit"] * 20),
    "1234567890 3.14159 ½ ² Ⅷ",
    "C++ & C# @home #tag $100 50% ^_^ ~/path/to/file.txt http://example.org/?q=1",
]


def tokens():
    """What transformers makes of texts with the vocabulary that is bundled."""
    merges = gzip.decompress((MODELS.parents[1] / "tokenizer" / "clip-merges.txt.gz").read_bytes()).decode().splitlines()
    alphabet = list(bytes_to_unicode().values())
    words = alphabet + [c + "</w>" for c in alphabet] + ["".join(m.split()) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    assert len(words) == 49408
    known = json.loads(MODELS.read_text())["parts"]
    result = {"texts": TEXTS}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_json(folder / "vocab.json", {word: i for i, word in enumerate(words)})
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
        for name in ("tokenizer", "tokenizer-exclamation"):
            config = {key: {"__type": "AddedToken", **value} if isinstance(value, dict) else value for key, value in known[name].items()}
            write_json(folder / "tokenizer_config.json", config)
            tokenizer = CLIPTokenizer.from_pretrained(str(folder))
            result[name] = [tokenizer(text, padding="max_length", truncation=True).input_ids for text in TEXTS]
            assert all(len(ids) == 77 for ids in result[name])
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / "tokens.json").write_text(json.dumps(result, ensure_ascii=False) + "\n", encoding="utf-8")


def bytes_to_unicode():
    """GPT-2's printable character for each byte, in the order of CLIP's vocabulary."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(spare)}}


def main():
    tokens()
    for kind in ("v1", "inpainting", "instruct-pix2pix", "v2", "inpainting_v2", "upscale", "xl_base", "xl_inpaint", "xl_refiner"):
        print(kind, of_kind(kind), "tensors")
    for folder in ("tiny-sd1", "tiny-sd2", "tiny-sdxl"):
        file = of_folder(folder)
        if folder == "tiny-sdxl":
            save_file(dict(sorted(file.tensors.items())), str(TARGET / "tiny-sdxl.safetensors"))
    print(sum(path.stat().st_size for path in TARGET.iterdir()), "bytes")


if __name__ == "__main__":
    main()
