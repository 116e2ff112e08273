#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Draws random scheduler configs and writes what diffusers samples with them.

    python random_scheduler_cases.py --count 2000 --seed 1 --out /tmp/random-schedulers.json
    python random_scheduler_cases.py --count 52 --seed 7            # the build's own, fixtures/scheduler/random.json

A config has any of the keys that its class's constructor has: absent, null, usual, odd, or (rarely) wrong; and keys of other
classes, as public folders have. With it go a number of steps, listed timesteps or sigmas, skipped steps and what else a call
may pass. --draw says which classes and keys are drawn from, so that a seed draws what it drew before new ones were added. RandomSchedulerConfigsTest compares all cases of a file: -Dscheduler.random=FILE.
"""

import argparse
import collections
import contextlib
import inspect
import json
import pathlib
import random
import sys
import typing
import zlib

import diffusers
import numpy as np
import torch

from scheduler_runs import ExactFunctions, b64, own_rounding, run

# Add new classes to the end, and a draw that has them.
CLASSES = [
    "CMStochasticIterativeScheduler",
    "DPMSolverMultistepInverseScheduler",
    "EDMDPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler",
    "IPNDMScheduler",
    "RePaintScheduler",
    "ScoreSdeVeScheduler",
    "SASolverScheduler",
    "DDIMInverseScheduler",
    "DDIMScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EDMEulerScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "FlowMatchEulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "TCDScheduler",
    "UniPCMultistepScheduler",
]

SOLVER_TYPES = ("midpoint", "heun", "logrho", "bh1", "bh2")


def chosen(*values):
    return lambda rng: rng.choice(values)


def flag(often):
    return lambda rng: rng.random() < often


# How a key is drawn; add new ones to the end, and a draw that has them. Keys that are not here are not set. The first of several values is the usual one.
KEYS = {
    "beta_start": chosen(0.0001, 0.00085, 0.0005, 0.001),
    "beta_end": chosen(0.02, 0.012, 0.015, 0.01),
    "beta_schedule": chosen("linear", "scaled_linear", "squaredcos_cap_v2", "scaled_linear"),
    "clip_denoised": flag(0.6),
    "clip_sample": flag(0.4),
    "clip_sample_range": chosen(1.0, 0.5, 2.0, 3),
    "disable_corrector": chosen([], [0], [0, 1, 2]),
    "dynamic_thresholding_ratio": chosen(0.995, 0.9, 0.5, 1.0),
    "euler_at_final": flag(0.4),
    "final_sigmas_type": chosen("zero", "sigma_min"),
    "flow_shift": chosen(1.0, 3.0, 0.5, 7),
    "interpolation_type": chosen("linear", "log_linear"),
    "invert_sigmas": flag(0.2),
    "lambda_min_clipped": chosen(float("-inf"), -5.1, -3.0, float("-inf")),
    "lower_order_final": flag(0.6),
    "noise_sampler_seed": chosen(0, 5, None, 2**31 - 1),
    "correct_steps": chosen(1, 0, 2),
    "eta": chosen(0.0, 0.5, 1.0),
    "sampling_eps": chosen(1e-5, 1e-3, 0.1),
    "snr": chosen(0.15, 0.05),
    "original_inference_steps": chosen(50, 25, 100),
    "predict_x0": flag(0.7),
    "predictor_order": chosen(2, 1, 3, 2, 4),
    "corrector_order": chosen(2, 1, 3, 2, 4),
    "prediction_type": chosen("epsilon", "sample", "v_prediction", "epsilon", "v_prediction", "flow_prediction"),
    "rescale_betas_zero_snr": flag(0.2),
    "rho": chosen(7.0, 5.0, 3),
    "s_noise": chosen(1.0, 0.7),
    "sample_max_value": chosen(1.0, 1.5, 4.0),
    "set_alpha_to_one": flag(0.5),
    "shift": chosen(1.0, 3.0, 0.7),
    "shift_terminal": chosen(None, 0.1, 0.02),
    "sigma_data": chosen(0.5, 1.0),
    "sigma_min": chosen(0.002, 0.03, 0.1),
    "sigma_max": chosen(80.0, 14.6, 10, 30.5),
    "sigma_schedule": chosen("karras", "exponential"),
    "skip_prk_steps": flag(0.6),
    "solver_order": chosen(2, 1, 3, 2, 4),
    "solver_type": chosen(*SOLVER_TYPES),
    "steps_offset": chosen(0, 1, 1, 2),
    "stochastic_sampling": flag(0.3),
    "thresholding": flag(0.25),
    "time_shift_type": chosen("exponential", "exponential", "linear"),
    "timestep_scaling": chosen(10.0, 1.0, 5),
    "timestep_spacing": chosen("linspace", "leading", "trailing"),
    "timestep_type": chosen("discrete", "continuous"),
    "use_beta_sigmas": flag(0.15),
    "use_dynamic_shifting": flag(0.15),
    "use_exponential_sigmas": flag(0.15),
    "use_flow_sigmas": flag(0.2),
    "use_karras_sigmas": flag(0.25),
    "use_lu_lambdas": flag(0.15),
    "variance_type": chosen("fixed_small", "fixed_small_log", "fixed_large"),
}

ALGORITHMS = ("dpmsolver++", "dpmsolver", "sde-dpmsolver++", "sde-dpmsolver", "deis")
WRONG = {"beta_schedule": "quadratic", "prediction_type": "noise", "timestep_spacing": "even", "solver_order": 0, "final_sigmas_type": "one"}


# How many of CLASSES and KEYS a draw has, and what it drew for each class with seed 0: the number says when something else has changed the draw.
Draw = collections.namedtuple("Draw", "classes keys fingerprint")
DRAWS = {1: Draw(26, 53, 0x84C5D633)}
NEWEST = max(DRAWS)


def classes_of(draw):
    return CLASSES[: DRAWS[draw].classes]


def fingerprint(draw):
    rng = random.Random(0)
    return zlib.crc32(json.dumps([draw_config(rng, name, draw) for name in classes_of(draw) for _ in range(20)]).encode())


def require_unchanged(draw):
    """A seed means nothing if the same seed draws something else: not under the same number."""
    found = fingerprint(draw)
    if found != DRAWS[draw].fingerprint:
        raise SystemExit(f"draw {draw} was 0x{DRAWS[draw].fingerprint:08X} and is 0x{found:08X} now: keep what it drew and add a draw, or use diffusers 0.42.0")


def constructor(name):
    return inspect.signature(getattr(diffusers, name).__init__).parameters


def words(parameter):
    """The words that a Literal of the constructor's annotations lists."""
    return [word for part in [parameter.annotation, *typing.get_args(parameter.annotation)] for word in typing.get_args(part) if isinstance(word, str)]


def draw_config(rng, name, draw=NEWEST):
    parameters = constructor(name)
    config = {}
    for key, chosen_value in list(KEYS.items())[: DRAWS[draw].keys]:
        own = key in parameters
        if rng.random() > (0.5 if own else 0.04):
            continue
        literal = words(parameters[key]) if own else []
        config[key] = rng.choice(literal) if literal and rng.random() < 0.6 else chosen_value(rng)
    if "algorithm_type" in parameters and rng.random() < 0.6:
        config["algorithm_type"] = rng.choice(("data_prediction", "noise_prediction") if name.startswith("SA") else ALGORITHMS)
        if not config["algorithm_type"].endswith("++") and rng.random() < 0.8:
            config["final_sigmas_type"] = "sigma_min"
    if name == "DDPMScheduler" and rng.random() < 0.3:
        config["variance_type"] = rng.choice(["learned", "learned_range"])
    elif str(config.get("variance_type")).startswith("learned"):
        del config["variance_type"]  # the reference takes three channels then, of samples that have two here
    if config.get("use_flow_sigmas") and rng.random() < 0.7:
        config["prediction_type"] = "flow_prediction"
    placements = [key for key in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas") if config.get(key)]
    for key in placements[1:]:
        if rng.random() < 0.9:
            config[key] = False
    if rng.random() < 0.2:
        config["num_train_timesteps"] = rng.choice([500, 200, 250, 999] if not name.startswith("CM") else [41, 18, 80])
    elif rng.random() < 0.04:
        config["num_train_timesteps"] = 60
        config["trained_betas"] = [round(0.001 + 0.3 * i / 60, 6) for i in range(60)]
    if config and rng.random() < 0.04:
        config[rng.choice([key for key in config if not isinstance(config[key], list)] or ["clip_sample"])] = None
    if rng.random() < 0.02:
        key = rng.choice([key for key in WRONG if key in parameters] or ["prediction_type"])
        config[key] = WRONG[key]
    return config


def draw_call(rng, name, config):
    train = config.get("num_train_timesteps") or constructor(name)["num_train_timesteps"].default
    steps = rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 15, 16, 20, 25, 30, 33])
    options = {}
    setting = inspect.signature(getattr(diffusers, name).set_timesteps).parameters
    stepping = inspect.signature(getattr(getattr(diffusers, name), "step", None) or len).parameters
    if "timesteps" in setting and rng.random() < 0.12:
        steps = rng.choice([1, 2, 4, 7])
        options["timesteps"] = sorted(rng.sample(range(train), steps), reverse=True)
    elif "sigmas" in setting and rng.random() < 0.15:
        steps = rng.choice([2, 4, 7])
        if name != "EulerDiscreteScheduler":
            options["sigmas"] = sorted((round(rng.uniform(0.01, 1), 3) for _ in range(steps)), reverse=True)
        else:
            options["sigmas"] = sorted((round(rng.uniform(0.03, 14), 3) for _ in range(steps)), reverse=True) + [0.0]
    if "mu" in setting and config.get("use_dynamic_shifting"):
        options["mu"] = rng.choice([0.5, 0.8, 1.15])
    if "eta" in stepping and rng.random() < 0.5:
        options["eta"] = rng.choice([0.0, 0.3, 0.5, 1.0])
    if "s_churn" in stepping and "FlowMatch" not in name and rng.random() < 0.3:
        options.update(s_churn=rng.choice([1.0, 5.0, 40.0]), s_noise=rng.choice([1.0, 1.003]))
        if rng.random() < 0.4:
            options.update(s_tmin=0.5, s_tmax=10.0)
    if name == "RePaintScheduler":
        options.update(jump_length=rng.choice([10, 1, 2, 5]), jump_n_sample=rng.choice([10, 1, 2, 3]))
        if rng.random() < 0.5:
            options["eta"] = rng.choice([0.0, 0.5, 1.0])
    if steps > 2 and rng.random() < 0.2 and "Inverse" not in name and name not in ("RePaintScheduler", "ScoreSdeVeScheduler"):
        options["skippedSteps"] = rng.randrange(1, steps - 1)
    if config.get("variance_type") in ("learned", "learned_range") and name == "DDPMScheduler":
        options["learned"] = True
    return steps, options


def expected(name, config, steps, options, model):
    case = {"scheduler": name, "config": config, "steps": steps, "model": model, "options": options}
    try:
        result = run(name, config, steps, model, options)
    except Exception as error:
        return {**case, "error": f"{type(error).__name__}: {error}"[:120]}
    if finite(result):
        case = {**case, **packed(result), **own_rounding(name, config, steps, model, options, result)}
    else:
        case = {**case, "error": "not finite"}
    with ExactFunctions():
        exact = run(name, config, steps, model, options)
    if finite(exact) and (not finite(result) or differ(result, exact)):
        case["exactRoots"] = packed(exact)
    elif finite(result) and not finite(exact):
        case["exactRoots"] = {"error": "not finite"}
    if finite(result) and case["rounding"] is None:
        steps = run(name, config, steps, model, options, steps_in_double)
        if finite(steps):
            case["doubleSteps"] = packed(steps)
    return case


@contextlib.contextmanager
def steps_in_double(scheduler):
    """The reference's own sigmas and timesteps, in float32, and float64 from there on: coefficients and samples that do not round."""
    module = sys.modules[type(scheduler).__module__]
    draw = getattr(module, "randn_tensor", None)
    set_timesteps = scheduler.set_timesteps

    def set_and_widen(*args, **kwargs):
        set_timesteps(*args, **kwargs)
        for key, value in vars(scheduler).items():
            if isinstance(value, torch.Tensor) and value.dtype == torch.float32 and key != "timesteps":
                setattr(scheduler, key, value.double())

    scheduler.set_timesteps = set_and_widen
    if draw:
        module.randn_tensor = lambda shape, generator, **_: draw(shape, generator=generator).double()
    try:
        yield torch.float64
    finally:
        if draw:
            module.randn_tensor = draw


def finite(result):
    return np.isfinite(result["trace"]).all() and np.isfinite(result["final"]).all()


def differ(result, exact):
    moved = np.abs(exact["timesteps"] - result["timesteps"]) > 1e-6 * (1 + np.abs(exact["timesteps"]))
    return moved.any() or np.abs(exact["final"] - result["final"]).max() > 1e-4 * result["scale"]


def packed(result):
    return {key: b64(value) if isinstance(value, np.ndarray) else value for key, value in result.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=52)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent / "resources/fixtures/scheduler/random.json")
    parser.add_argument("--only", help="one class")
    parser.add_argument("--draw", type=int, choices=DRAWS, default=NEWEST)
    arguments = parser.parse_args()
    require_unchanged(arguments.draw)
    classes = classes_of(arguments.draw)
    rng = random.Random(arguments.seed)
    lines, refused = [], 0
    for i in range(arguments.count):
        name = arguments.only or classes[i % len(classes)]
        config = draw_config(rng, name, arguments.draw)
        steps, options = draw_call(rng, name, config)
        case = expected(name, config, steps, options, rng.choice(["linear", "curved", "curved"]))
        refused += "error" in case
        lines.append(json.dumps(case, separators=(",", ":")))
    arguments.out.write_text('{"cases":[\n%s\n]}\n' % ",\n".join(lines))
    print(f"{arguments.count} cases, {refused} of them refused or not finite in diffusers, {arguments.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
