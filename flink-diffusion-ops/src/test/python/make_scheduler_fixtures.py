"""Writes the reference trajectories that the scheduler tests compare with.

    python make_scheduler_fixtures.py

For every case a diffusers scheduler samples with a toy model from fixed noise. A case keeps its config, the timesteps, the
final sample and the mean magnitude after every call; floats are little-endian float32 in base64. Pinned versions are in
requirements.txt.
"""

import base64
import inspect
import json
import logging
import pathlib
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


def run(name, config, steps, model, options):
    scheduler = getattr(diffusers, name).from_config(dict(config))
    kwargs = {"mu": options["mu"]} if "mu" in options else {}
    scheduler.set_timesteps(steps, **kwargs)
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
        sample = sample.to(torch.float32)
    else:
        sample = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    arguments = inspect.signature(scheduler.step).parameters
    extra = {}
    if "generator" in arguments:
        extra["generator"] = generator
    if "eta" in options:
        extra["eta"] = options["eta"]
    trace = []
    scale = float(sample.abs().max())
    for t in timesteps:
        shown = scheduler.scale_model_input(sample, t) if hasattr(scheduler, "scale_model_input") else sample
        output = MODELS[model](shown, t)
        if options.get("learned"):
            output = torch.cat([output, 0.5 + 0.4 * torch.sin(3 * shown)], dim=1)
        sample = scheduler.step(output, t, sample, **extra).prev_sample.to(torch.float32)
        trace.append(float(sample.abs().mean()))
        scale = max(scale, float(sample.abs().max()))
    return {
        "initNoiseSigma": float(getattr(scheduler, "init_noise_sigma", 1.0)),
        "timesteps": b64(timesteps.to(torch.float64).numpy()),
        "trace": b64(trace),
        "scale": scale,
        "final": b64(sample.numpy().ravel()),
    }


class Cases:
    def __init__(self, name):
        self.name = name
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
            result = run(self.name, config, steps, model, options)
        except Exception as error:  # what the reference refuses we must not sample quietly
            self.rejected.append({**case, "error": f"{type(error).__name__}: {error}"[:160]})
            return
        if not all(np.isfinite(np.frombuffer(base64.b64decode(result[k]), "<f4")).all() for k in ("trace", "final")):
            self.rejected.append({**case, "error": "not finite"})
            return
        self.cases.append({**case, **result})

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


SPACINGS = ("linspace", "leading", "trailing")
STEPS = (5, 11, 25)
IMAGE = ("epsilon", "sample", "v_prediction")
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
COSINE = {"beta_schedule": "squaredcos_cap_v2"}
PLACEMENTS = ({}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True})
SKIPPED = dict(skippedSteps=4)


def placements(base):
    return [{**base, **p} for p in PLACEMENTS]


def ddim():
    c = Cases("DDIMScheduler")
    c.grid(IMAGE, SPACINGS, STEPS, [{}, {**SD, "clip_sample": False, "set_alpha_to_one": False}])
    for prediction in IMAGE:
        p = {"prediction_type": prediction}
        if prediction != "epsilon":  # with clip_sample the reference clamps an infinity there; we refuse
            c.add(11, {**p, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"})
        c.add(11, {**p, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "clip_sample": False}, "curved")
        c.add(11, {**p, "thresholding": True, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 1.5}, "curved")
        c.add(11, {**p, **COSINE, "clip_sample_range": 0.7}, "curved")
        for eta in (0.5, 1.0):
            c.add(11, {**p, "clip_sample": False}, "curved", eta=eta)
            c.add(25, p, eta=eta)
    c.add(11, {"clip_sample": False, **SD}, "curved", **SKIPPED)
    c.add(9, {"trained_betas": [0.01, 0.02, 0.03, 0.05, 0.05, 0.07, 0.08, 0.1, 0.1, 0.2], "num_train_timesteps": 10})
    c.add(1, {})
    c.add(1000, {"clip_sample": False})
    c.add(250, {"num_train_timesteps": 500})
    return c


def ddpm():
    c = Cases("DDPMScheduler")
    c.grid(IMAGE, SPACINGS, STEPS)
    for variance in ("fixed_small", "fixed_small_log", "fixed_large"):
        for prediction in IMAGE:
            p = {"prediction_type": prediction, "variance_type": variance}
            c.add(11, {**p, "clip_sample": False}, "curved")
            c.add(11, {**p, "thresholding": True}, "curved")
    for schedule in ("scaled_linear", "squaredcos_cap_v2", "laplace", "sigmoid"):
        c.add(11, {"beta_schedule": schedule, "clip_sample": False}, "curved")
    for variance in ("learned", "learned_range"):
        for clip in (True, False):
            c.add(11, {"variance_type": variance, "clip_sample": clip}, "curved", learned=True)
    c.add(11, {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"})
    c.add(11, {"clip_sample": False}, "curved", **SKIPPED)
    c.add(1000, {})
    c.add(1, {})
    return c


def pndm():
    c = Cases("PNDMScheduler")
    c.grid(("epsilon", "v_prediction"), SPACINGS, STEPS, [{}, {"skip_prk_steps": True}, {**SD, "skip_prk_steps": True}])
    for steps in (1, 2, 3, 4, 50, 1000):
        c.add(steps, {"skip_prk_steps": True})
        c.add(steps, {})
    c.add(11, {"skip_prk_steps": True, "set_alpha_to_one": True}, "curved")
    c.add(11, {"skip_prk_steps": True, **SD}, "curved", **SKIPPED)
    c.add(11, {"skip_prk_steps": True, **SD}, "curved", skippedSteps=1)
    return c


def euler():
    c = Cases("EulerDiscreteScheduler")
    c.grid(IMAGE, SPACINGS, STEPS, placements({}) + [SD])
    for prediction in IMAGE:
        for spacing in SPACINGS:
            p = {"prediction_type": prediction, "timestep_spacing": spacing}
            c.add(11, {**p, "rescale_betas_zero_snr": True}, "curved")
            c.add(11, {**p, "final_sigmas_type": "sigma_min"}, "curved")
            c.add(11, {**p, "interpolation_type": "log_linear"}, "curved")
            c.add(11, {**p, "interpolation_type": "log_linear", "use_karras_sigmas": True}, "curved")
            c.add(11, {**p, "timestep_type": "continuous", "use_karras_sigmas": True, "sigma_min": 0.01, "sigma_max": 9.0})
            c.add(11, {**p, **COSINE}, "curved")
    c.add(1, {})
    c.add(1, {"timestep_spacing": "trailing"})
    c.add(4, {**SD, "timestep_spacing": "trailing"}, "curved")
    c.add(11, SD, "curved", **SKIPPED)
    return c


def euler_ancestral():
    c = Cases("EulerAncestralDiscreteScheduler")
    c.grid(("epsilon", "v_prediction"), SPACINGS, STEPS, [{}, SD, {"rescale_betas_zero_snr": True}])
    c.add(1, {})
    c.add(11, SD, "curved", **SKIPPED)
    c.add(11, {"prediction_type": "sample"})
    return c


def dpm_multistep():
    c = Cases("DPMSolverMultistepScheduler")
    image = IMAGE + ("flow_prediction",)
    c.grid(image, SPACINGS, STEPS, placements({}) + [{"use_lu_lambdas": True}, {"solver_order": 3}])
    for algorithm in ("dpmsolver++", "sde-dpmsolver++", "dpmsolver", "sde-dpmsolver"):
        final = {} if algorithm.endswith("++") else {"final_sigmas_type": "sigma_min"}
        for order in (1, 2, 3):
            for solver in ("midpoint", "heun"):
                for prediction in image:
                    config = {"algorithm_type": algorithm, "solver_order": order, "solver_type": solver,
                              "prediction_type": prediction, **final}
                    for steps in (7, 20):
                        c.add(steps, config, "curved")
    for placement in placements(COSINE) + [{**COSINE, "use_lu_lambdas": True}]:
        c.add(11, placement, "curved")
        c.add(11, {**placement, "lambda_min_clipped": -5.1}, "curved")
    for flags in ({"euler_at_final": True}, {"lower_order_final": False}, {"final_sigmas_type": "sigma_min"},
                  {"thresholding": True}, {"algorithm_type": "deis", "solver_type": "logrho", "final_sigmas_type": "sigma_min"},
                  {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0},
                  {"use_karras_sigmas": True, "sigma_min": 0.05, "sigma_max": 10.0},
                  {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min", "thresholding": True}):
        for steps in (7, 20):
            c.add(steps, {**flags, "solver_order": 3}, "curved")
            c.add(steps, {**flags, **SD}, "curved")
    for spacing in SPACINGS:
        c.add(11, {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": spacing}, "curved")
    c.add(11, {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "use_dynamic_shifting": True}, mu=0.8)
    c.add(11, {**SD, "use_karras_sigmas": True}, "curved", **SKIPPED)
    c.add(25, {**SD, "solver_order": 3}, "curved", **SKIPPED)
    c.add(11, {"use_karras_sigmas": True, "use_beta_sigmas": True})
    c.add(11, {"algorithm_type": "dpmsolver"})
    c.add(1, {})
    c.add(2, {"solver_order": 3})
    return c


def lcm():
    c = Cases("LCMScheduler")
    c.grid(IMAGE, ("",), (1, 4, 8), [{}, {"clip_sample": True}, {"thresholding": True}, {"timestep_scaling": 1.0}])
    c.add(4, {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}, "curved")
    c.add(10, {"original_inference_steps": 25, "beta_schedule": "linear"}, "curved")
    c.add(50, {})
    c.add(51, {})
    c.add(8, {}, "curved", skippedSteps=2)
    return c


ALL = (ddim, ddpm, pndm, euler, euler_ancestral, dpm_multistep, lcm)


def main():
    folder = pathlib.Path(__file__).resolve().parent.parent / "resources/fixtures/scheduler"
    folder.mkdir(parents=True, exist_ok=True)
    for make in ALL:
        make().write(folder)


if __name__ == "__main__":
    main()
