#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Model folders that are described, not stored, and what diffusers makes of them.

A case is a JSON object: the text of every config file, the shape of every tensor, and what is asked of the pipeline. The numbers in
the tensors and in the pictures given follow from a formula (``values_of``, ``painting``), which the Java tests compute, too, so a
whole folder takes a few kilobytes. What diffusers makes of the case stands in it as well: the picture, or why it refuses.
"""

import base64
import contextlib
import copy
import gzip
import io
import json
import math
import os
import re
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

from fixture_tools import FIXTURES, seeded

TOKENIZER = FIXTURES / "tiny-sd1" / "tokenizer"
QUIET = ("norm", "layer_norm", "ln")
RESIDUAL_ENDS = ("conv2.", "to_out.0.", "ff.net.2.", "out_proj.", "mlp.fc2.")
TABLES = ("token_embedding.weight", "position_embedding.weight", "quantize.embedding.weight", "class_embedding.weight", "embedding_table.weight")
LAST_OF_A_DECODER = "decoder.conv_out."
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def values_of(seed, name, shape):
    """The numbers of a tensor, float32: a hash of seed, name and index, spread evenly over a range that suits the tensor's role."""
    state = 0xCBF29CE484222325
    for byte in f"{seed}/{name}".encode():
        state = ((state ^ byte) * 0x100000001B3) % (1 << 64)
    count = math.prod(shape)
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    even = (z >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0  # -1 .. 1
    middle, spread = role(name, shape)
    return torch.from_numpy((even * spread + middle).astype(np.float32).reshape(shape))


def role(name, shape):
    """Middle and spread of a tensor's numbers; with them, activations stay near 1 through a network."""
    root3 = math.sqrt(3.0)
    if name.endswith(TABLES) and len(shape) == 2:
        spread = 0.7 * root3
    elif len(shape) >= 2:
        spread = root3 / math.sqrt(math.prod(shape[1:]))
    elif name.endswith("bias"):
        spread = 0.1 * root3
    elif name.endswith("weight"):
        return 1.0, 0.2 * root3
    else:
        spread = 0.7 * root3
    if name.endswith(("to_q.weight", "to_k.weight", "q_proj.weight", "k_proj.weight")):
        spread *= 1.5
    if any(end in name for end in RESIDUAL_ENDS):
        spread *= 0.5
    if LAST_OF_A_DECODER in name:
        spread *= 0.5
    return 0.0, spread


def painting(width, height, seed, channels=3):
    """A picture of whole numbers 0..255, [height, width, channels], by a formula."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [(x * (5 + c) + y * (3 + 2 * c) + seed * 29 + (x * y * (c + 1)) % 23) % 256 for c in range(channels)]
    return np.stack(planes, axis=2).astype(np.uint8)


def hole(width, height):
    """A mask whose middle quarter is white."""
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = 255
    return mask


def picture(spec):
    if spec["kind"] == "hole":
        return Image.fromarray(hole(spec["width"], spec["height"]), "L")
    return Image.fromarray(painting(spec["width"], spec["height"], spec["seed"]), "RGB")


NUMBERED = re.compile(r"(controlnet|adapter)_\d+")  # the index names the first of several
ADAPTER_IMAGES = ("adapter_image", "adapter_image_2", "adapter_image_3", "adapter_image_4")
IP_IMAGES = ("ip_adapter_image", "ip_adapter_image_2", "ip_adapter_image_3", "ip_adapter_image_4")
CONTROL_IMAGES = ("control_image_1", "control_image_2", "control_image_3", "control_image_4")
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def write_weights(folder, weights, tensors):
    """A file of tensors, or several and the index that says what is where."""
    tensors = {name: value.to(DTYPES[weights.get("dtype", "F32")]) for name, value in tensors.items()}
    file, shards = weights["file"], weights.get("shards", 1)
    if file.endswith(".bin"):
        torch.save(tensors, folder / file)
    elif shards == 1:
        save_file(tensors, str(folder / file), metadata={"format": "pt"})
    else:
        start, *variant, end = file.split(".")
        places, names = {}, sorted(tensors)
        for shard in range(shards):
            name = ".".join([start, *variant]) + f"-{shard + 1:05}-of-{shards:05}.{end}"
            part = {each: tensors[each] for each in names[shard::shards]}
            save_file(part, str(folder / name), metadata={"format": "pt"})
            places.update({each: name for each in part})
        index = {"metadata": {"total_size": sum(value.nbytes for value in tensors.values())}, "weight_map": places}
        (folder / ".".join([start, end, "index", *variant, "json"])).write_text(json.dumps(index))


def old_attention_name(name):
    """What attention outside of transformer blocks was called before diffusers 0.13."""
    if not re.search(r"(^|\.)attentions\.\d+\.(to_|group_norm)", name):
        return name
    for now, then in (("to_out.0.", "proj_attn."), ("to_q.", "query."), ("to_k.", "key."), ("to_v.", "value.")):
        name = name.replace(now, then)
    return name


def class_named(library, name):
    if name == "StableDiffusionSafetyChecker":
        return diffusers.pipelines.stable_diffusion.safety_checker.StableDiffusionSafetyChecker
    return getattr(diffusers if library == "diffusers" else transformers, name)


@contextlib.contextmanager
def silence():
    """What libraries say on the way is not of interest; what they raise is."""
    diffusers.logging.set_verbosity(diffusers.logging.CRITICAL)
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    diffusers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def shapes_of(library, name, config):
    """The tensors of a network as diffusers builds it from a config; None if it does not."""
    cls = class_named(library, name)
    with torch.device("meta"):
        if library == "diffusers":
            model = cls.from_config({key: value for key, value in config.items()})
        else:
            model = cls(cls.config_class.from_dict(config.get(cls.config_class.base_config_key, config)))
        tensors = model.state_dict()
    shapes = {}
    for key, value in tensors.items():
        if not value.is_floating_point():
            continue
        prefixed = name.startswith("CLIPText") and not key.startswith(("text_model.", "text_projection."))
        shapes["text_model." + key if prefixed else key] = list(value.shape)
    return shapes


class Case:
    """A folder, what is asked of it, and what diffusers makes of that."""

    def __init__(self, name, seed, pipeline, index=None):
        self.json = {"name": name, "seed": seed, "pipeline": pipeline, "index": {"_class_name": pipeline, "_diffusers_version": "0.21.0", **(index or {})}, "files": {}, "weights": {}, "tokenizers": []}

    def network(self, component, library, name, config, file=None, shapes_of_class=None, shapes_of_config=None):
        """A network; ``shapes_of_class`` and ``shapes_of_config`` where what is on disk is another one than the index says."""
        if not NUMBERED.fullmatch(component):
            self.json["index"][component] = [library, name]
        self.json["files"][f"{component}/config.json"] = json.dumps(config)
        file = file or ("diffusion_pytorch_model.safetensors" if library == "diffusers" else "model.safetensors")
        try:
            with silence():
                shapes = shapes_of(library, shapes_of_class or name.replace("MultiAdapter", "T2IAdapter").replace("Multi", ""), shapes_of_config or config)
        except Exception:
            shapes = {}  # diffusers will say why, and so will we
        self.json["weights"][component] = {"file": file, "tensors": shapes}
        return self

    def scheduler(self, name, config, component="scheduler"):
        self.json["index"][component] = ["diffusers", name]
        self.json["files"][f"{component}/scheduler_config.json"] = json.dumps(config)
        return self

    def tokenizer(self, component="tokenizer", name="CLIPTokenizer"):
        self.json["index"][component] = ["transformers", name]
        self.json["tokenizers"].append(component)
        return self

    def processor(self, component, config, name="CLIPImageProcessor"):
        self.json["index"][component] = ["transformers", name]
        self.json["files"][f"{component}/preprocessor_config.json"] = json.dumps(config)
        return self

    def file(self, path, text):
        self.json["files"][path] = text
        return self

    def stored(self, component, dtype=None, shards=None, variant=None, pickled=False):
        """How a component's weights lie on disk: as F16 or BF16, in several files, as a variant, or pickled."""
        weights = self.json["weights"][component]
        start, *variants, end = weights["file"].split(".")
        weights["file"] = ".".join([start, *([variant] if variant else variants), "bin" if pickled else end])
        weights.update({key: value for key, value in (("dtype", dtype), ("shards", shards)) if value and not pickled})
        return self

    def with_old_attention_names(self, component):
        """The names that attention outside of transformer blocks had before diffusers 0.13, and its weights as 1x1 convolutions before that."""
        tensors = self.json["weights"][component]["tensors"]
        convolutions = self.json["seed"] % 8 == 0
        renamed = {}
        for name, shape in tensors.items():
            old = old_attention_name(name)
            renamed[old] = shape + [1, 1] if old != name and convolutions and len(shape) == 2 and "VAE" in component.upper() else shape
        self.json["weights"][component]["tensors"] = renamed
        return self

    def setting(self, key, value):
        self.json["index"][key] = value
        return self

    def ask(self, images=None, scheduler=None, as_pipeline=None, **arguments):
        """``images``: name to a description of a picture, see ``picture``."""
        self.json["inputs"] = images or {}
        self.json["arguments"] = arguments
        if scheduler:
            self.json["scheduler"] = scheduler
        if as_pipeline:
            self.json["as"] = as_pipeline
        return self

    def write(self, folder):
        """The folder itself."""
        for path, text in {"model_index.json": json.dumps(self.json["index"]), **self.json["files"]}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        for component, weights in self.json["weights"].items():
            (folder / component).mkdir(parents=True, exist_ok=True)
            tensors = {name: values_of(f"{self.json['seed']}/{component}", name, shape) for name, shape in weights["tensors"].items()}
            write_weights(folder / component, weights, tensors)
        for component in self.json["tokenizers"]:
            shutil.copytree(TOKENIZER, folder / component)

    def expect(self, seeds=(0,)):
        """Runs diffusers: fills in ``expected``, a list with one entry a seed, each a picture or a refusal."""
        self.json["expected"] = []
        with tempfile.TemporaryDirectory() as temp, silence():
            folder = Path(temp) / "model"
            self.write(folder)
            try:
                cls = getattr(diffusers, self.json.get("as", self.json["pipeline"]))
                # Stable Diffusion 3 is loaded without a component only by one who says so.
                absent = {key: None for key, value in self.json["index"].items() if value == [None, None] and self.json["pipeline"].startswith("StableDiffusion3")}
                pipe = cls.from_pretrained(folder, torch_dtype=torch.float32, **absent, **({"variant": self.json["variant"]} if "variant" in self.json else {}))
                require_same_weights(pipe, folder, self.json["weights"])
                load_ip_adapters(pipe, folder, self.json.get("ip_adapters", []))
                pipe.set_progress_bar_config(disable=True)
                if "clip_skip" in self.json["arguments"]:
                    for encoder in (pipe.text_encoder, getattr(pipe, "text_encoder_2", None)):
                        # diffusers 0.42 looks for the final norm under a name that transformers 5 no longer has.
                        if encoder is not None and not hasattr(encoder, "text_model"):
                            object.__setattr__(encoder, "text_model", encoder)
            except Exception as error:
                self.json["expected"] = [refusal(error) for _ in seeds]
                return self
            own = pipe.scheduler
            for seed in seeds:
                try:
                    # A copy, not from_config: that would undo what the pipeline has corrected in its scheduler's config.
                    pipe.scheduler = getattr(diffusers, self.json["scheduler"]).from_config(own.config) if "scheduler" in self.json else copy.deepcopy(own)
                    self.json["expected"].append({"seed": seed, **self.run(pipe, seed)})
                except Exception as error:
                    self.json["expected"].append({"seed": seed, **refusal(error)})
        return self

    def run(self, pipe, seed):
        # Options say nothing of the image: which resizing and which cleaning of prompts are left out.
        arguments = {**self.json["arguments"], **self.json.get("options", {}), **{name: picture(spec) for name, spec in self.json["inputs"].items()}}
        arguments = {name: tuple(value) if isinstance(value, list) and name.endswith(("_size", "_left")) else value for name, value in arguments.items()}
        if "gligen_objects" in arguments:
            # Phrases and boxes, which a request here says as one list.
            objects = json.loads(arguments.pop("gligen_objects"))
            arguments.update(gligen_phrases=[each["phrase"] for each in objects], gligen_boxes=[each["box"] for each in objects])
        images = [arguments.pop(name) for name in CONTROL_IMAGES if name in arguments]
        if images:
            union = "Union" in type(pipe).__name__
            name = "control_image" if union or "image" in arguments else "image"
            arguments[name] = images if hasattr(pipe.controlnet, "nets") else images[0]
        adapted = [arguments.pop(name) for name in ADAPTER_IMAGES if name in arguments]
        if adapted:
            arguments["image"] = adapted if hasattr(pipe.adapter, "adapters") else adapted[0]
        show_to_ip_adapters(pipe, arguments)
        output_type = "np"
        with torch.no_grad(), ties(pipe) as tied:
            result = pipe(**arguments, generator=seeded(seed), output_type=output_type)
        values = np.asarray(result.prediction[0] if hasattr(result, "prediction") else result.images[0], dtype=np.float64)
        if values.ndim == 2:
            values = values[:, :, None]
        if not np.isfinite(values).all():
            return refusal(ValueError("not finite"))
        if hasattr(result, "prediction") and values.shape[2] == 3:
            values = (values + 1) / 2  # normals are shown as colors
        values = values.transpose(2, 0, 1)
        levels = np.round(np.clip(values, 0, 1) * 65535).astype("<u2")
        return {**({"tie": True} if tied else {}), "shape": list(values.shape), "pixels": base64.b64encode(levels.tobytes()).decode(), "inside": round(float(((values > 0.002) & (values < 0.998)).mean()), 2)}


def load_ip_adapters(pipe, folder, files):
    """The encoder is the model's own, or the one beside the first file."""
    if not files:
        return
    paths = [Path(file) for file in files]
    pipe.load_ip_adapter(str(folder), subfolder=[str(path.parent) for path in paths], weight_name=[path.name for path in paths])


def show_to_ip_adapters(pipe, arguments):
    """One adapter sees all images, each of several its own."""
    if "ip_adapter_scale" in arguments:
        scales = arguments.pop("ip_adapter_scale")
        pipe.set_ip_adapter_scale(scales[0] if len(scales) == 1 else list(scales))
    images = [arguments.pop(name) for name in IP_IMAGES if name in arguments]
    if images:
        several = len(pipe.unet.encoder_hid_proj.image_projection_layers) > 1
        arguments["ip_adapter_image"] = images if several else [images]


@contextlib.contextmanager
def ties(pipe):
    """Collects the places where two codes of a VQModel are as near as float32 can tell."""
    tied, quantizer = [], getattr(getattr(pipe, "vqvae", None), "quantize", None)

    def watch(_, inputs):
        points = inputs[0].permute(0, 2, 3, 1).flatten(0, 2).double()
        nearest = torch.cdist(points, quantizer.embedding.weight.double()).sort(1).values
        tied.extend(((nearest[:, 1] - nearest[:, 0]) < 1e-6 * nearest[:, 0]).nonzero().flatten().tolist())

    handle = quantizer and quantizer.register_forward_pre_hook(watch)
    yield tied
    if handle:
        handle.remove()


def refusal(error):
    return {"refused": f"{type(error).__name__}: {error}".splitlines()[0][:160]}


def require_same_weights(pipe, folder, weights):
    """A key that a library did not find would be random, and the case worth nothing."""
    for component, entry in weights.items():
        model = getattr(pipe, component, None)
        if hasattr(model, "nets"):
            model = model.nets[0]
        if hasattr(model, "adapters") and component == "adapter":
            model = model.adapters[0]
        if model is None or not entry["tensors"]:
            continue
        state = model.state_dict()
        stored = set(entry["tensors"])
        for key, value in state.items():
            if not value.is_floating_point() or key == "encoder.embed_tokens.weight":  # T5's, the same as shared.weight
                continue
            if not {key, "text_model." + key, old_attention_name(key)} & stored:
                raise ValueError(f"{component}: {key} is not on disk")


def pack(cases, path):
    """All cases as one file; names of tensors repeat, so it is compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0, compresslevel=9) as file:
        file.write(json.dumps([case.json if isinstance(case, Case) else case for case in cases], separators=(",", ":")).encode())


def reported(described, made, first):
    """
    Makes cases and prints how they came out.

    :param described: each a name and what ``made`` takes after seed and name
    :param first: the first one's seed; the others follow
    :return: all of them; none if words of the command line choose some to be looked at
    """
    wanted, cases = sys.argv[1:], []
    for seed, (name, *rest) in enumerate(described, first):
        if wanted and not any(word in name for word in wanted):
            continue
        case = made(seed, name, *rest)
        cases.append(case)
        expected = case.json["expected"][0]
        print(f"{name}: {expected.get('refused', expected.get('inside'))}", flush=True)
    return [] if wanted else cases


def configure():
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
