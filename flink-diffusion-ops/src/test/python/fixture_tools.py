#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""What every fixture maker shares: random weights that give themselves away, folders as diffusers writes them, golden tensors.

Names inside a golden safetensors file are ``<case>/in/<argument>``, ``<case>/out/<result>`` and, where a case records
them, ``<case>/mid/<module path>`` for the output of an inner module (its first tensor, where it returns several).
"""

import json
import math
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

FIXTURES = Path(__file__).resolve().parents[1] / "resources" / "fixtures" / "models"


# Where residual branches end. Their share is halved: a random network then follows its input smoothly, and sampling with it
# does not blow rounding differences up to something one could see.
RESIDUAL_ENDS = ("conv2.", "to_out.0.", "ff.net.2.")


def configure_torch():
    """One thread and no fused shortcuts: the order of every sum is then the same on every run of one machine."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.set_grad_enabled(False)


def seeded(seed):
    return torch.Generator("cpu").manual_seed(seed)


def randomize(model, seed, gain=1.0):
    """Gives every parameter values of its own, scaled so that activations stay near 1 through the network.

    Biases and norm weights are random as well: left at 0 and 1, a parameter that is missing or swapped would not show.
    """
    generator = seeded(seed)
    embeddings = {
        id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)
    }
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        if id(parameter) in embeddings or name.endswith("class_embedding"):
            values = values * 0.7
        elif parameter.ndim >= 2:
            values = values * (gain / math.sqrt(parameter[0].numel()))
        elif name.endswith("bias"):
            values = values * 0.1
        else:
            values = 1.0 + 0.2 * values
        if name.endswith(("to_q.weight", "to_k.weight", "q_proj.weight", "k_proj.weight")):
            values = values * 1.5  # attention that prefers some tokens over others, not a plain average
        if any(end in name for end in RESIDUAL_ENDS):
            values = values * 0.5
        parameter.copy_(values)
    return model


def scale(parameter_owner, factor):
    """Multiplies weight and bias; the factor is rounded so that the last bits of a measured one do not matter."""
    factor = float(f"{factor:.2g}")
    parameter_owner.weight.mul_(factor)
    if parameter_owner.bias is not None:
        parameter_owner.bias.mul_(factor)


def round_to_half(model):
    """Makes every weight a value that fp16 holds exactly: what is on disk is then what the goldens were computed from."""
    for parameter in model.parameters():
        parameter.copy_(parameter.half().float())
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.copy_(buffer.half().float())
    return model


def fresh_folder(path):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tensors(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    # clone: two names may share one storage, which safetensors refuses
    save_file({name: t.detach().clone().contiguous() for name, t in sorted(tensors.items())}, str(path))


def rewrite_weights(path, rename=lambda name: name, dtype=None, extra=None):
    """Rewrites a safetensors file under other names, in another float type, with further tensors."""
    tensors = {rename(name): t.to(dtype) if dtype and t.is_floating_point() else t for name, t in load_file(str(path)).items()}
    tensors.update(extra or {})
    save_file({name: t.contiguous() for name, t in sorted(tensors.items())}, str(path), metadata={"format": "pt"})


def store_half(folder):
    """Turns every weight file of a folder into fp16."""
    for path in sorted(folder.rglob("*.safetensors")):
        if "golden" not in path.parts:
            rewrite_weights(path, dtype=torch.float16)


def drop_config_keys(path, keep, junk):
    """Leaves only some keys of a config.json and adds others, as old files have too few keys and fine-tuned ones too many."""
    config = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**{key: value for key, value in config.items() if key in keep or key.startswith("_")}, **junk})


def first_tensor(value):
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, (tuple, list)):
        return first_tensor(value[0]) if value else None
    if hasattr(value, "to_tuple"):
        return first_tensor(value.to_tuple())
    return None


class Recorder:
    """Keeps the outputs of chosen inner modules during a forward pass: ``with Recorder(model, wanted) as r: ...; r.seen``."""

    def __init__(self, model, wanted):
        self.model, self.wanted, self.seen, self.handles = model, wanted, {}, []

    def __enter__(self):
        for name, module in self.model.named_modules():
            if name and self.wanted(name):
                self.handles.append(module.register_forward_hook(self._hook(name)))
        return self

    def _hook(self, name):
        def keep(module, args, output):
            tensor = first_tensor(output)
            if tensor is not None:
                self.seen[name] = tensor.detach().clone()

        return keep

    def __exit__(self, *unused):
        for handle in self.handles:
            handle.remove()


def depth_at_most(depth, *but_not):
    """Chooses modules by path depth, counting an index as part of its list: ``down_blocks.0.resnets.1`` has depth 2."""

    def wanted(name):
        parts = [part for part in name.split(".") if not part.isdigit()]
        ends_in_list = name.split(".")[-1] in ("down_blocks", "up_blocks", "resnets", "attentions", "layers")
        return len(parts) <= depth and not ends_in_list and not any(word in parts for word in but_not)

    return wanted


class Goldens:
    """Collects the cases of one network and writes its golden file and its entry of the manifest."""

    def __init__(self, name, model_class, weights, weights_dtype, golden, notes=None):
        self.entry = {
            "name": name,
            "class": model_class,
            "config": str(Path(weights).parent / "config.json"),
            "weights": weights,
            "weightsDtype": weights_dtype,
            "golden": golden,
        }
        if notes:
            self.entry["notes"] = notes
        self.entry["cases"] = []
        self.tensors = {}

    def case(self, name, method, inputs, outputs, mid=None):
        """Records one call. Inputs that are no tensor (a flag, a number) stand in the manifest under "arguments"."""
        plain = {key: value for key, value in inputs.items() if not isinstance(value, torch.Tensor)}
        tensors = {key: value for key, value in inputs.items() if isinstance(value, torch.Tensor)}
        entry = {"name": name, "method": method}
        if plain:
            entry["arguments"] = plain
        for kind, values in (("in", tensors), ("out", outputs), ("mid", mid or {})):
            if kind == "mid" and not values:
                continue
            names = {}
            for key, value in values.items():
                names[key] = next((known for known, tensor in self.tensors.items() if tensor is value), f"{name}/{kind}/{key}")
                check_meaningful(names[key], value)
                self.tensors[names[key]] = value
            entry[{"in": "inputs", "out": "outputs", "mid": "intermediate"}[kind]] = names
        self.entry["cases"].append(entry)

    def write(self, root):
        write_tensors(root / self.entry["golden"], self.tensors)
        return self.entry


def least_visible_parameters(model, run, count=3):
    """For each parameter, how far the output moves when its values are reversed; returns the least visible ones.

    A bias of attention keys never shows: it adds the same to every score of a row, and softmax does not see that.
    """
    expected = run()
    moved = []
    for name, parameter in model.named_parameters():
        if name.endswith(("k_proj.bias", "to_k.bias")):
            continue
        kept = parameter.clone()
        parameter.copy_(kept.flatten().flip(0).view_as(kept) if kept.numel() > 1 else kept * 2)
        moved.append(((run() - expected).abs().max().item(), name))
        parameter.copy_(kept)
    return [f"{name} {distance:.0e}" for distance, name in sorted(moved)[:count]]


def check_meaningful(name, tensor):
    """A golden that is not finite, or constant, would let a broken network pass."""
    if not tensor.is_floating_point():
        return
    if not torch.isfinite(tensor).all():
        raise AssertionError(f"{name} is not finite")
    if tensor.numel() > 1 and tensor.std() == 0 and "/in/" not in name:
        raise AssertionError(f"{name} is constant")
