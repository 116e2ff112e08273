#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""How a pipeline is run and what is noted of it: what it drew from the generator and in which order, its latents after each step, and its picture."""

import functools
import sys

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
)
from PIL import Image
from transformers import CLIPTokenizer

from fixture_tools import fresh_folder, rewrite_weights, seeded, store_half, write_json, write_tensors
from tiny_tokenizer import write_tokenizer

SCHEDULERS = {
    cls.__name__: cls
    for cls in (
        DDIMScheduler,
        DDPMScheduler,
        DPMSolverMultistepScheduler,
        EulerAncestralDiscreteScheduler,
        EulerDiscreteScheduler,
        LCMScheduler,
        PNDMScheduler,
    )
}

# As in timbrooks/instruct-pix2pix: keys of another solver that this scheduler does not know.

def painting(width, height, seed):
    """A picture with gradients, an edge and some grain, made of integers so that it is the same everywhere."""
    y, x = np.mgrid[0:height, 0:width]
    grain = np.random.RandomState(seed).randint(0, 24, (height, width, 3))
    disc = ((x - width // 3) ** 2 + (y - height // 2) ** 2) < (min(width, height) // 3) ** 2
    planes = [x * 200 // width, y * 200 // height, np.where(disc, 190, 40)]
    return Image.fromarray((np.stack(np.roll(planes, seed % 3, axis=0), axis=-1) + grain).astype(np.uint8))


def hole(width, height):
    """An inpainting mask: white (paint here) in a rectangle that does not line up with latent pixels."""
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[height // 4 + 3 : height // 4 * 3 + 1, width // 3 : width - 5] = 255
    return Image.fromarray(mask)


def raster(image):
    """What a PIL image holds, as channels x height x width in 0..1."""
    values = np.asarray(image, dtype=np.float32) / 255.0
    return torch.from_numpy(values[None] if values.ndim == 2 else values.transpose(2, 0, 1).copy())


class Draws:
    """Notes every draw from a generator during a run: its shape, and the function that asked for it."""

    def __enter__(self):
        self.seen, self.plain = [], torch.randn

        def noting(*size, **options):
            if options.get("generator") is None:
                raise AssertionError("this run draws from the global generator: no seed would repeat it")
            frame = sys._getframe(1)
            while frame.f_code.co_name == "randn_tensor":
                frame = frame.f_back
            result = self.plain(*size, **options)
            self.seen.append({"by": frame.f_code.co_qualname, "shape": list(result.shape)})
            return result

        torch.randn = noting
        return self

    def __exit__(self, *unused):
        torch.randn = self.plain


def note_steps(scheduler):
    """Keeps what each scheduler step returns. The signature stays, as pipelines look whether it has an eta."""
    plain, samples = scheduler.step, []

    @functools.wraps(plain)
    def step(*arguments, **options):
        result = plain(*arguments, **options)
        samples.append((result[0] if isinstance(result, tuple) else result.prev_sample)[0].clone())
        return result

    scheduler.step = step
    return samples


class Runs:
    """The runs of one folder's pipelines."""

    def __init__(self, out, folder, name="cases", report=False, notes=None):
        self.out, self.folder, self.name, self.report = out, folder, name, report
        self.manifest = {"folder": folder, "tensorsFile": f"{name}.safetensors", "notes": notes or [], "cases": []}
        self.tensors, self.shared = {}, {}

    def run(self, case, pipe, seed, images=None, scheduler=None, overrides=None, least_inside=0.8, check=None, extra=None, **arguments):
        """Runs a pipeline. ``images`` are PIL pictures, ``arguments`` plain values; both are passed on under their names.

        ``extra`` are further tensors of the case, such as an intermediate value.
        """
        images = images or {}
        base = pipe.scheduler.config
        made = SCHEDULERS[scheduler or type(pipe.scheduler).__name__].from_config({**base, **(overrides or {})})
        picture, steps, draws = self._call(pipe, made, seed, images, arguments)
        inside = ((picture > 0.002) & (picture < 0.998)).float().mean().item()
        if inside < least_inside or picture.std() < 0.03:
            raise AssertionError(f"{self.folder} {case}: {inside:.0%} inside (0,1), std {picture.std():.3f}: nothing to compare")
        if check:
            check(steps[-1])
        if self.report:
            far, _, _ = self._call(pipe, made, seed, images, arguments, nudge=1e-6)
            print(
                f"{self.folder:20} {case:28} inside {inside:4.0%} mean {picture.mean():.3f} std {picture.std():.3f} "
                f"latents {steps[-1].std():7.3f}  1e-6 of noise moves the picture by {(far - picture).abs().max():.1e}"
            )
        names = {}
        for key, value in {"image": picture, "latents": torch.stack(steps), **(extra or {})}.items():
            names[key] = f"{case}/{key}"
            self.tensors[names[key]] = value
        inputs = {}
        for key, image in images.items():
            inputs[key] = self.shared.setdefault(id(image), f"inputs/{key}{len(self.shared)}")
            self.tensors[inputs[key]] = image if isinstance(image, torch.Tensor) else raster(image)
        pipe.scheduler = type(pipe.scheduler).from_config(base)
        self.manifest["cases"].append(
            {
                "name": case,
                "pipeline": type(pipe).__name__,
                "seed": seed,
                "scheduler": scheduler or type(pipe.scheduler).__name__,
                "schedulerOverrides": overrides or {},
                "arguments": arguments,
                "inputs": inputs,
                "draws": draws,
                "networkCalls": len(steps),
                "tensors": names,
            }
        )

    def _call(self, pipe, scheduler, seed, images, arguments, nudge=0.0):
        original = pipe.scheduler
        pipe.scheduler = type(scheduler).from_config(scheduler.config)
        steps = note_steps(pipe.scheduler)
        with Draws() as draws:
            if nudge:
                exact, other = torch.randn, seeded(1)
                torch.randn = lambda *size, **options: exact(*size, **options) + nudge * draws.plain(*size, generator=other)
            result = pipe(**images, **arguments, generator=seeded(seed), output_type="np").images[0]
        pipe.scheduler = original
        return torch.from_numpy(np.ascontiguousarray(result.transpose(2, 0, 1))), steps, draws.seen

    def write(self):
        golden = self.out / self.folder / "golden"
        write_tensors(golden / f"{self.name}.safetensors", self.tensors)
        write_json(golden / f"{self.name}.json", self.manifest)
        return f"{self.folder}/golden/{self.name}.json"


def save(pipe, folder, schedulers, tokenizers=None, unets=None):
    """Writes the folder as people have it: fp16, classic tokenizer and scheduler files, prefixed text encoder keys."""
    pipe.save_pretrained(folder)
    for name, pad_token in (tokenizers or {}).items():
        write_tokenizer(fresh_folder(folder / name), pad_token)
    for name, config in schedulers.items():
        write_json(folder / name / "scheduler_config.json", config)
    store_half(folder)
    if type(getattr(pipe, "text_encoder", None)).__name__ == "CLIPTextModel":
        rewrite_weights(folder / "text_encoder" / "model.safetensors", rename=lambda key: "text_model." + key)
    loaded = type(pipe).from_pretrained(folder, torch_dtype=torch.float32, **(unets or {}))
    for name, component in pipe.components.items():
        if isinstance(component, torch.nn.Module):
            other = getattr(loaded, name).state_dict()
            different = [key for key, value in component.state_dict().items() if not torch.equal(value, other[key])]
            if different:
                raise AssertionError(f"{folder.name}/{name}: {different} do not come back from disk")
    loaded.set_progress_bar_config(disable=True)
    return loaded


def tokenizer_at(folder, pad_token="<|endoftext|>"):
    write_tokenizer(folder, pad_token)
    return CLIPTokenizer.from_pretrained(folder)


def scheduler_of(config):
    return SCHEDULERS[config["_class_name"]].from_config(config)
