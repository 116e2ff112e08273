#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""How a diffusers scheduler samples with a toy model from fixed noise, in float32 and, for the reference's own error, in float64."""

import base64
import contextlib
import inspect
import json
import logging
import math
import sys
import warnings

import diffusers
import numpy as np
import torch

logging.disable(logging.CRITICAL)
warnings.filterwarnings("ignore")
diffusers.logging.set_verbosity(diffusers.logging.CRITICAL)

SHAPE = (1, 2, 4, 4)
NOISE_SEED = 7
STEP_SEED = 11


def linear_model(sample, t):
    """The toy model of diffusers' own tests, with |t| because some schedulers have negative timesteps."""
    t = abs(float(t))
    return sample * (t / (t + 1))


def curved_model(sample, t):
    """Bounded, not linear and different at every timestep, so that an error in the order of operations shows."""
    return 0.6 * torch.tanh(sample) + 0.2 * torch.cos(sample + 0.01 * float(t))


MODELS = {"linear": linear_model, "curved": curved_model}


def b64(values):
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()


class InDouble:
    """Stands in for numpy or torch inside a scheduler's module, where float32 then means float64."""

    def __init__(self, library):
        self._library = library

    def __getattr__(self, attribute):
        return getattr(self._library, "float64" if attribute == "float32" else attribute)


@contextlib.contextmanager
def double_precision(scheduler):
    """Lets the reference compute in float64, from its float32 noise schedule, with the same noise."""
    for key, value in vars(scheduler).items():
        if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
            setattr(scheduler, key, value.double())
    module = sys.modules[type(scheduler).__module__]
    draw = getattr(module, "randn_tensor", None)
    replaced = {"np": InDouble(np), "torch": InDouble(torch)}
    if draw:
        replaced["randn_tensor"] = lambda shape, generator, **_: draw(shape, generator=generator).double()
    kept = {key: getattr(module, key) for key in replaced if hasattr(module, key)}
    try:
        for key in kept:
            setattr(module, key, replaced[key])
        yield torch.float64
    finally:
        for key, value in kept.items():
            setattr(module, key, value)


class ExactFunctions(torch.overrides.TorchFunctionMode):
    """Rounds square roots, logarithms and exponentials in float32 correctly. torch leaves them to MKL, which is off by one bit in up to every fifth, depending on the processor."""

    NUMPY = {
        **dict.fromkeys((torch.sqrt, torch.Tensor.sqrt), np.sqrt),
        **dict.fromkeys((torch.log, torch.Tensor.log), np.log),
        **dict.fromkeys((torch.exp, torch.Tensor.exp), np.exp),
        **dict.fromkeys((torch.expm1, torch.Tensor.expm1), np.expm1),
    }
    POWERS = (torch.pow, torch.Tensor.pow, torch.Tensor.__pow__)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        exact = self.NUMPY.get(function)
        if function in self.POWERS and isinstance(args[1], float) and args[1] == 0.5:
            exact = np.sqrt
        if exact and isinstance(args[0], torch.Tensor) and args[0].dtype == torch.float32:
            return torch.from_numpy(np.asarray(exact(args[0].double().numpy()).astype(np.float32)))
        return function(*args, **(kwargs or {}))


class RequestsPath:
    """The noise of DPMSolverSDEScheduler without a seed, as we draw it: each half step from the generator, the whole step from both."""

    def __init__(self, generator, dtype):
        self.generator, self.dtype, self.first = generator, dtype, None

    def __call__(self, sigma, sigma_next):
        fresh = torch.randn(SHAPE, generator=self.generator).to(self.dtype)
        if self.first is None:
            self.first = (sigma_next, fresh)
            return fresh
        (middle, before), self.first = self.first, None
        return ((sigma - middle).sqrt() * before + (middle - sigma_next).sqrt() * fresh) / (sigma - sigma_next).sqrt()


@contextlib.contextmanager
def single_precision(scheduler):
    yield torch.float32


def run(name, config, steps, model, options, precision=single_precision):
    scheduler = getattr(diffusers, name).from_config(dict(config))
    sample = {"RePaintScheduler": repaint_with, "ScoreSdeVeScheduler": sde_ve_with}.get(name, sample_with)
    with precision(scheduler) as dtype:
        return sample(scheduler, steps, model, options, dtype)


def known_part(dtype):
    """An image, and a mask of one channel that keeps every third value."""
    image = torch.linspace(-1, 1, math.prod(SHAPE)).reshape(SHAPE).to(dtype)
    return image, (torch.arange(math.prod(SHAPE[2:])) % 3 == 0).reshape(SHAPE[2:]).to(dtype)


def repaint_with(scheduler, steps, model, options, dtype):
    """The loop of RePaintPipeline; steps back belong to the network call before them."""
    scheduler.set_timesteps(steps, options.get("jump_length", 10), options.get("jump_n_sample", 10))
    if "eta" in options:
        scheduler.eta = options["eta"]
    image, mask = known_part(dtype)
    sample = torch.randn(SHAPE, generator=torch.Generator().manual_seed(NOISE_SEED)).to(dtype)
    generator = torch.Generator().manual_seed(STEP_SEED)
    timesteps, trace, scale, last = [], [], float(sample.abs().max()), scheduler.timesteps[0] + 1
    for t in scheduler.timesteps:
        if t < last:
            sample = scheduler.step(MODELS[model](sample, t), t, sample, image, mask, generator).prev_sample.to(dtype)
            timesteps.append(float(t))
            trace.append(0)
        else:
            sample = scheduler.undo_step(sample, last, generator).to(dtype)
        trace[-1] = float(sample.abs().mean())
        scale = max(scale, float(sample.abs().max()))
        last = t
    return trajectory(1.0, timesteps, trace, scale, sample)


def sde_ve_with(scheduler, steps, model, options, dtype):
    """The loop of ScoreSdeVePipeline, with a score that is nearly that of a Gaussian."""
    scheduler.set_timesteps(steps)
    scheduler.set_sigmas(steps)
    sample = torch.randn(SHAPE, generator=torch.Generator().manual_seed(NOISE_SEED)).to(dtype) * scheduler.init_noise_sigma
    generator = torch.Generator().manual_seed(STEP_SEED)
    timesteps, trace, scale = [], [], float(sample.abs().max())

    def score(sigma):
        timesteps.append(float(sigma))
        unit = (sigma**2 + 1) ** 0.5
        shown = sample / unit
        return -(shown + 0.3 * MODELS[model](shown, sigma)) / unit

    for i, t in enumerate(scheduler.timesteps):
        sigma = scheduler.sigmas[i]
        for _ in range(scheduler.config.correct_steps):
            sample = scheduler.step_correct(score(sigma), sample, generator=generator).prev_sample.to(dtype)
            trace.append(float(sample.abs().mean()))
            scale = max(scale, float(sample.abs().max()))
        result = scheduler.step_pred(score(sigma), t, sample, generator=generator)
        sample = (result.prev_sample if i < steps - 1 else result.prev_sample_mean).to(dtype)
        trace.append(float(sample.abs().mean()))
        scale = max(scale, float(sample.abs().max()))
    return trajectory(float(scheduler.init_noise_sigma), timesteps, trace, scale, sample)


def trajectory(init_noise_sigma, timesteps, trace, scale, sample):
    return {
        "initNoiseSigma": init_noise_sigma,
        "timesteps": np.array(timesteps, dtype=np.float64),
        "trace": np.array(trace),
        "scale": scale,
        "final": sample.to(torch.float64).numpy().ravel(),
    }


def sample_with(scheduler, steps, model, options, dtype):
    kwargs = {"mu": options["mu"]} if "mu" in options else {}
    # Arrays: UniPC multiplies what it is given.
    listed = {key: np.array(options[key]) for key in ("timesteps", "sigmas") if key in options}
    scheduler.set_timesteps(None if listed else steps, **listed, **kwargs)
    skipped = options.get("skippedSteps", 0) * scheduler.order
    timesteps = scheduler.timesteps[skipped:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skipped)
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(NOISE_SEED))
    generator = torch.Generator().manual_seed(STEP_SEED)
    if skipped:
        image = torch.linspace(-1, 1, noise.numel()).reshape(SHAPE)
        if hasattr(scheduler, "scale_noise"):
            sample = scheduler.scale_noise(image, timesteps[:1], noise)
        else:
            sample = scheduler.add_noise(image, noise, timesteps[:1])
        sample = sample.to(dtype)
    else:
        sample = noise.to(dtype) * getattr(scheduler, "init_noise_sigma", 1.0)
    arguments = inspect.signature(scheduler.step).parameters
    extra = {}
    if "generator" in arguments:
        extra["generator"] = generator
    for key in ("eta", "s_churn", "s_tmin", "s_tmax", "s_noise"):
        if key in options:
            extra[key] = options[key]
    if hasattr(scheduler, "noise_sampler_seed") and scheduler.noise_sampler_seed is None:
        scheduler.noise_sampler = RequestsPath(generator, dtype)
    trace = []
    scale = float(sample.abs().max())
    for t in timesteps:
        shown = scheduler.scale_model_input(sample, t) if hasattr(scheduler, "scale_model_input") else sample
        output = MODELS[model](shown, t)
        if options.get("learned"):
            output = torch.cat([output, 0.5 + 0.4 * torch.sin(3 * shown)], dim=1)
        sample = scheduler.step(output, t, sample, **extra).prev_sample.to(dtype)
        trace.append(float(sample.abs().mean()))
        scale = max(scale, float(sample.abs().max()))
    init_noise_sigma = float(getattr(scheduler, "init_noise_sigma", 1.0))
    return trajectory(init_noise_sigma, timesteps.to(torch.float64).numpy(), trace, scale, sample)


def own_rounding(name, config, steps, model, options, result):
    """How far float32 took the reference's final sample and timesteps from what it computes in float64."""
    if config.get("noise_sampler_seed") is not None:  # in float64 a Brownian tree is another path
        return {"rounding": None, "timestepRounding": None}
    try:
        exact = run(name, config, steps, model, options, double_precision)
    except Exception:
        return {"rounding": None, "timestepRounding": None}
    moved = float(np.abs(exact["timesteps"] - result["timesteps"]).max())
    if moved > 0.5 or not np.isfinite(exact["final"]).all():
        # A whole timestep fell the other way: another trajectory, which says nothing about this one.
        return {"rounding": None, "timestepRounding": None}
    return {"rounding": float(np.abs(exact["final"] - result["final"]).max()), "timestepRounding": moved}


class Cases:
    def __init__(self, name, functions=contextlib.nullcontext):
        self.name = name
        self.functions = functions
        self.cases = []
        self.rejected = []
        self.seen = set()

    def add(self, steps, config, model="linear", **options):
        key = json.dumps([steps, config, model, options], sort_keys=True)
        if key in self.seen:
            return
        self.seen.add(key)
        case = {"config": config, "steps": steps, "model": model, "options": options}
        try:
            with self.functions():
                result = run(self.name, config, steps, model, options)
        except Exception as error:  # what the reference refuses we must not sample quietly
            self.rejected.append({**case, "error": f"{type(error).__name__}: {error}"[:160]})
            return
        if not (np.isfinite(result["trace"]).all() and np.isfinite(result["final"]).all()):
            self.rejected.append({**case, "error": "not finite"})
            return
        rounding = own_rounding(self.name, config, steps, model, options, result)
        packed = {key: b64(value) if isinstance(value, np.ndarray) else value for key, value in result.items()}
        self.cases.append({**case, **packed, **rounding})

    def grid(self, predictions, spacings, step_counts, variants=({},)):
        for variant in variants:
            for prediction in predictions:
                for spacing in spacings:
                    config = {**variant, "prediction_type": prediction}
                    if spacing:
                        config["timestep_spacing"] = spacing
                    if spacing == "leading":
                        config["steps_offset"] = 1
                    for steps in step_counts:
                        self.add(steps, config)
                    self.add(step_counts[1], config, "curved")

    def write(self, folder):
        path = folder / f"{self.name}.json"
        lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in self.cases)
        refused = ",\n".join(json.dumps(c, separators=(",", ":")) for c in self.rejected)
        path.write_text(f'{{"scheduler":"{self.name}","cases":[\n{lines}\n],"refused":[\n{refused}\n]}}\n')
        print(f"{self.name}: {len(self.cases)} cases, {len(self.rejected)} refused, {path.stat().st_size} bytes")
