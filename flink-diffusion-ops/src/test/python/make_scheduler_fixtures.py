#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes the reference trajectories that the scheduler tests compare with.

    python make_scheduler_fixtures.py [ddim pndm ...]    # all, or some of the functions below

For every case a diffusers scheduler samples with a toy model from fixed noise. A case keeps its config, the timesteps, the
final sample and the mean magnitude after every call; floats are little-endian float32 in base64. "rounding" is the
reference's own error: how far its final sample is from the one it computes in float64, null where that cannot be told. What
the reference refuses, or samples to NaN, stands under "refused". Pinned versions are in requirements.txt.

This file is the list of the configs of every scheduler, and is as long as these are many.
"""

import json
import pathlib
import sys

import diffusers
import numpy as np

from scheduler_runs import Cases, ExactFunctions, run

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
    c.grid(("original_sample",), SPACINGS, STEPS)
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


def ddim_inverse():
    c = Cases("DDIMInverseScheduler")
    c.grid(("epsilon", "v_prediction"), ("leading", "trailing"), STEPS, [{}, {"clip_sample": False}])
    c.grid(IMAGE, ("leading", "trailing"), STEPS, [{**SD, "clip_sample": False, "set_alpha_to_one": False}])
    c.add(11, {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"})
    c.add(11, {"prediction_type": "sample", "clip_sample": False}, "curved")
    c.add(11, {"timestep_spacing": "linspace"})
    c.add(11, {"set_alpha_to_zero": False, **SD}, "curved")
    return c


def lms():
    c = Cases("LMSDiscreteScheduler")
    c.grid(IMAGE, SPACINGS, STEPS, placements({}) + [SD])
    c.add(1, {})
    c.add(11, COSINE, "curved")
    c.add(11, SD, "curved", **SKIPPED)
    return c


def heun():
    c = Cases("HeunDiscreteScheduler")
    c.grid(IMAGE, SPACINGS, STEPS, placements({}) + [{"clip_sample": True}])
    for schedule in ("scaled_linear", "squaredcos_cap_v2", "exp"):
        c.add(11, {"beta_schedule": schedule}, "curved")
    c.add(11, {"clip_sample": True, "clip_sample_range": 0.4, "prediction_type": "v_prediction"}, "curved")
    c.add(1, {})
    c.add(11, SD, "curved", **SKIPPED)
    return c


def kdpm2(name):
    c = Cases(name)
    c.grid(("epsilon", "v_prediction"), SPACINGS, STEPS, placements({}) + [SD])
    c.add(11, {"prediction_type": "sample"})
    c.add(1, {})
    if name == "KDPM2DiscreteScheduler":  # the ancestral one cancels in float32 where sigma begins at 20000
        c.add(11, COSINE, "curved")
    c.add(11, SD, "curved", **SKIPPED)
    return c


def kdpm2_plain():
    return kdpm2("KDPM2DiscreteScheduler")


def kdpm2_ancestral():
    return kdpm2("KDPM2AncestralDiscreteScheduler")


def dpm_singlestep():
    c = Cases("DPMSolverSinglestepScheduler")
    image = IMAGE + ("flow_prediction",)
    c.grid(image, ("",), (5, 12, 25), placements({}) + [{"solver_order": 3}, {"lower_order_final": True}])
    for algorithm in ("dpmsolver++", "sde-dpmsolver++", "dpmsolver"):
        final = {} if algorithm.endswith("++") else {"final_sigmas_type": "sigma_min"}
        for order in (1, 2, 3):
            for solver in ("midpoint", "heun"):
                for prediction in image:
                    config = {"algorithm_type": algorithm, "solver_order": order, "solver_type": solver,
                              "prediction_type": prediction, **final}
                    for steps in (7, 12, 20):
                        c.add(steps, config, "curved")
    for lower in (True, False):
        for order in (2, 3):
            for steps in (1, 2, 3, 4, 5, 6, 12):
                c.add(steps, {"final_sigmas_type": "sigma_min", "solver_order": order, "lower_order_final": lower}, "curved")
    for flags in ({"thresholding": True}, {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0},
                  {"algorithm_type": "deis", "solver_type": "bh2", "final_sigmas_type": "sigma_min"},
                  {**COSINE, "lambda_min_clipped": -5.1}, {**COSINE, "use_karras_sigmas": True}):
        for steps in (7, 20):
            c.add(steps, {**flags, "solver_order": 3}, "curved")
            c.add(steps, {**SD, **flags}, "curved")
    c.add(11, {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "use_dynamic_shifting": True}, mu=0.8)
    c.add(12, SD, "curved", **SKIPPED)
    c.add(12, {**SD, "solver_order": 3}, "curved", **SKIPPED)
    c.add(12, {**SD, "solver_order": 3}, "curved", skippedSteps=5)
    c.add(12, {"algorithm_type": "sde-dpmsolver"})
    return c


def deis():
    c = Cases("DEISMultistepScheduler")
    image = IMAGE + ("flow_prediction",)
    c.grid(image, SPACINGS, STEPS, placements({}) + [{"solver_order": 3}])
    for order in (1, 2, 3):
        for prediction in image:
            for lower in (True, False):
                c.add(11, {**SD, "solver_order": order, "prediction_type": prediction, "lower_order_final": lower}, "curved")
    for flags in ({"thresholding": True}, {"algorithm_type": "dpmsolver++", "solver_type": "midpoint"}, COSINE,
                  {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}):
        for steps in (7, 20):
            c.add(steps, {**flags, "solver_order": 3}, "curved")
    c.add(11, SD, "curved", **SKIPPED)
    c.add(1, {})
    return c


def unipc():
    c = Cases("UniPCMultistepScheduler")
    image = IMAGE + ("flow_prediction",)
    c.grid(image, SPACINGS, STEPS, placements({}) + [{"solver_order": 3}])
    for predict_x0 in (True, False):
        for order in (1, 2, 3, 4):
            for solver in ("bh1", "bh2"):
                for prediction in IMAGE:
                    config = {"predict_x0": predict_x0, "solver_order": order, "solver_type": solver,
                              "prediction_type": prediction, "final_sigmas_type": "sigma_min"}
                    c.add(7, config, "curved")
                    c.add(20, config, "curved")
    for flags in ({"thresholding": True}, {"disable_corrector": [0, 1]}, COSINE, {"solver_type": "midpoint"},
                  {"use_karras_sigmas": True, "sigma_min": 0.05, "sigma_max": 10.0},
                  {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0},
                  {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "use_karras_sigmas": True},
                  {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 2.0, "shift_terminal": 0.1},
                  {"lower_order_final": False, "final_sigmas_type": "sigma_min"}):
        for steps in (7, 20):
            c.add(steps, {**flags, "solver_order": 3}, "curved")
            c.add(steps, flags, "curved")
    for spacing in SPACINGS:
        c.add(11, {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": spacing}, "curved")
    flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "use_dynamic_shifting": True}
    c.add(11, flow, mu=0.8)
    c.add(11, flow)
    c.add(11, {"shift_terminal": 0.1})
    c.add(11, SD, "curved", **SKIPPED)
    c.add(11, {**SD, "solver_order": 3}, "curved", **SKIPPED)
    c.add(1, {})
    return c


def tcd():
    c = Cases("TCDScheduler")
    c.grid(IMAGE, ("",), (1, 4, 8))
    for eta in (0.0, 0.3, 0.7, 1.0):
        for prediction in IMAGE:
            c.add(4, {"prediction_type": prediction}, "curved", eta=eta)
            c.add(10, {"prediction_type": prediction, "beta_schedule": "linear"}, "curved", eta=eta)
    c.add(4, {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}, "curved")
    c.add(10, {"original_inference_steps": 25}, "curved")
    c.add(50, {})
    c.add(51, {})
    c.add(8, {}, "curved", skippedSteps=2)
    return c


def flow_match_euler():
    c = Cases("FlowMatchEulerDiscreteScheduler")
    for shift in (1.0, 3.0):
        for placement in PLACEMENTS:
            for flags in ({}, {"invert_sigmas": True}, {"stochastic_sampling": True}, {"shift_terminal": 0.1}):
                for steps in STEPS:
                    c.add(steps, {"shift": shift, **placement, **flags})
                c.add(11, {"shift": shift, **placement, **flags}, "curved")
    for mu in (0.5, 1.15):
        for kind in ("exponential", "linear"):
            for placement in PLACEMENTS:
                c.add(11, {"use_dynamic_shifting": True, "time_shift_type": kind, "shift": 3.0, **placement}, "curved", mu=mu)
    c.add(11, {"use_dynamic_shifting": True})
    c.add(11, {"shift": 3.0}, "curved", **SKIPPED)
    c.add(1, {})
    return c


def flow_match_heun():
    c = Cases("FlowMatchHeunDiscreteScheduler")
    for shift in (1.0, 3.0):
        for steps in (2,) + STEPS:
            c.add(steps, {"shift": shift})
            c.add(steps, {"shift": shift}, "curved")
        c.add(11, {"shift": shift}, "curved", **SKIPPED)
    c.add(11, {"num_train_timesteps": 200, "shift": 2.0}, "curved")
    c.add(1, {}, "curved")
    return c


def flow_match_lcm():
    c = Cases("FlowMatchLCMScheduler")
    for shift in (1.0, 3.0):
        for placement in PLACEMENTS:
            for flags in ({}, {"invert_sigmas": True}, {"shift_terminal": 0.1}):
                c.add(4, {"shift": shift, **placement, **flags}, "curved")
    for mu in (0.5, 1.15):
        for kind in ("exponential", "linear"):
            c.add(8, {"use_dynamic_shifting": True, "time_shift_type": kind, "shift": 3.0}, "curved", mu=mu)
    c.add(11, {"use_dynamic_shifting": True})
    c.add(8, {"shift": 3.0}, "curved", **SKIPPED)
    c.add(1, {})
    return c


def edm_euler():
    c = Cases("EDMEulerScheduler")
    for prediction in ("epsilon", "v_prediction"):
        for schedule in ("karras", "exponential"):
            for final in ("zero", "sigma_min"):
                config = {"prediction_type": prediction, "sigma_schedule": schedule, "final_sigmas_type": final}
                for steps in STEPS:
                    c.add(steps, config)
                c.add(11, {**config, "sigma_data": 1.0, "rho": 5.0, "sigma_min": 0.01, "sigma_max": 20.0}, "curved")
    c.add(11, {"prediction_type": "sample"})
    c.add(11, {}, "curved", **SKIPPED)
    return c


def dpm_sde():
    """With correct functions: a time that is off by one bit may fall to another millionth, where a Brownian path is elsewhere."""
    c = Cases("DPMSolverSDEScheduler", ExactFunctions)
    c.grid(("epsilon", "v_prediction"), SPACINGS, STEPS, placements({"noise_sampler_seed": 5}) + [{}, {**SD, "use_karras_sigmas": True}])
    c.add(11, {"prediction_type": "sample"})
    for seed in (0, 1, 2**31 - 1, None):
        c.add(11, {**SD, "noise_sampler_seed": seed}, "curved")
        c.add(11, {**SD, "noise_sampler_seed": seed}, "curved", **SKIPPED)
        c.add(1, {**SD, "noise_sampler_seed": seed})
        c.add(2, {**SD, "noise_sampler_seed": seed})
    c.add(11, {**SD, "use_exponential_sigmas": True, "sigma_min": 0.05, "sigma_max": 10.0, "noise_sampler_seed": 3}, "curved")
    c.add(11, {**SD, "use_karras_sigmas": True, "sigma_min": 0.05, "sigma_max": 10.0, "noise_sampler_seed": 3}, "curved")
    c.add(11, {"noise_sampler_seed": -1})
    c.add(11, {"use_karras_sigmas": True, "use_beta_sigmas": True})
    return c


def repaint():
    c = Cases("RePaintScheduler")
    for clip in (True, False):
        for eta in (0.0, 0.5, 1.0):
            for steps, length, samples in ((5, 10, 10), (12, 3, 2), (25, 10, 3)):
                c.add(steps, {"clip_sample": clip}, "curved", eta=eta, jump_length=length, jump_n_sample=samples)
        c.add(10, {"clip_sample": clip, "eta": 0.7}, jump_length=2, jump_n_sample=2)
    for schedule in ("scaled_linear", "squaredcos_cap_v2", "sigmoid"):
        c.add(10, {"beta_schedule": schedule}, "curved", eta=1.0, jump_length=1, jump_n_sample=4)
    c.add(20, {"num_train_timesteps": 200, "beta_end": 0.05}, "curved", jump_length=5, jump_n_sample=1)
    c.add(1, {})
    c.add(10, {"beta_schedule": "laplace"})
    c.add(5, {"num_train_timesteps": 10, "trained_betas": [0.01] * 10})
    return c


def sde_ve():
    c = Cases("ScoreSdeVeScheduler")
    for corrections in (0, 1, 2):
        for steps in STEPS:
            c.add(steps, {"correct_steps": corrections}, "curved")
        c.add(11, {"correct_steps": corrections, "sigma_max": 90.0})
    for flags in ({"snr": 0.05}, {"sigma_min": 0.1}, {"sampling_eps": 1e-3}, {"sampling_eps": 0.2}, {"num_train_timesteps": 100}):
        c.add(20, {"sigma_max": 50.0, **flags}, "curved")
    c.add(1, {})
    c.add(2, {})
    c.add(1000, {"sigma_max": 50.0})
    return c


def dpm_inverse():
    c = Cases("DPMSolverMultistepInverseScheduler")
    c.grid(IMAGE + ("flow_prediction",), SPACINGS, STEPS)
    for algorithm in ("dpmsolver++", "dpmsolver", "sde-dpmsolver++", "sde-dpmsolver"):
        for order in (1, 2, 3):
            c.add(12, {**SD, "algorithm_type": algorithm, "solver_order": order}, "curved")
    for placement in PLACEMENTS[1:]:
        c.add(8, {**SD, **placement}, "curved")
        c.add(20, {**SD, **placement, "solver_type": "heun"}, "curved")
    c.add(7, {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}, "curved")
    c.add(12, {**COSINE, "lambda_min_clipped": -5.1}, "curved")
    return c


def sa_solver():
    c = Cases("SASolverScheduler")
    c.grid(IMAGE + ("flow_prediction",), SPACINGS, STEPS)
    for algorithm in ("data_prediction", "noise_prediction"):
        for predictor in (1, 2, 3):
            for corrector in (1, 2, 3, 4):
                config = {**SD, "algorithm_type": algorithm, "predictor_order": predictor, "corrector_order": corrector}
                c.add(12, config, "curved")
    for flags in (*PLACEMENTS[1:], {"thresholding": True}, {"lower_order_final": False}, {"algorithm_type": "noise_prediction", "thresholding": True}):
        c.add(12, {**SD, **flags}, "curved")
        c.add(12, {**SD, **flags}, "curved", skippedSteps=4)
    return c


def edm_dpm():
    c = Cases("EDMDPMSolverMultistepScheduler")
    for prediction in ("epsilon", "v_prediction"):
        for schedule in ("karras", "exponential"):
            for final in ("zero", "sigma_min"):
                for steps in STEPS:
                    c.add(steps, {"prediction_type": prediction, "sigma_schedule": schedule, "final_sigmas_type": final})
        for algorithm in ("dpmsolver++", "sde-dpmsolver++"):
            for order in (1, 2, 3):
                for solver in ("midpoint", "heun"):
                    config = {"prediction_type": prediction, "algorithm_type": algorithm, "solver_order": order, "solver_type": solver}
                    c.add(12, config, "curved")
    c.add(12, {"thresholding": True, "sigma_data": 1.0, "rho": 5.0}, "curved")
    c.add(12, {"prediction_type": "sample"})
    c.add(12, {}, "curved", **SKIPPED)
    return c


def ipndm():
    c = Cases("IPNDMScheduler")
    for steps in (1, 2, 3, 4, 5, 11, 25, 1000):
        c.add(steps, {})
        c.add(steps, {}, "curved")
    c.add(5, {"trained_betas": [0.99, 0.7, 0.4, 0.2, 0.1, 0.0]}, "curved")
    return c


def consistency_model():
    c = Cases("CMStochasticIterativeScheduler")
    for steps in (1, 2, 3, 5, 11, 25, 40):
        c.add(steps, {})
        c.add(steps, {"clip_denoised": False}, "curved")
    for flags in ({"num_train_timesteps": 18}, {"sigma_min": 0.01, "sigma_max": 20.0, "rho": 5.0}, {"s_noise": 0.5, "sigma_data": 1.0}):
        c.add(4, flags, "curved")
    c.add(2, {}, "curved", timesteps=[22, 0])
    c.add(3, {"clip_denoised": False}, timesteps=[39, 20, 5])
    c.add(41, {})
    c.add(6, {}, "curved", skippedSteps=2)
    return c


ALL = (ddim, ddim_inverse, ddpm, pndm, lms, euler, euler_ancestral, heun, kdpm2_plain, kdpm2_ancestral, dpm_multistep,
       dpm_singlestep, deis, unipc, lcm, tcd, flow_match_euler, flow_match_heun, flow_match_lcm, edm_euler, dpm_inverse, sa_solver, edm_dpm,
       ipndm, consistency_model, dpm_sde, repaint, sde_ve)


def write_timesteps(folder):
    """timesteps.json: for every number of steps, the sum of the timesteps and the sum of each times its place from 1 on.

    Where the reference's floating-point range has one element too many, null."""
    table = {}
    for name in ("DDIMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler"):
        for spacing in SPACINGS:
            rows = []
            for steps in range(1, 1001):
                scheduler = getattr(diffusers, name)(timestep_spacing=spacing, steps_offset=1)
                scheduler.set_timesteps(steps)
                timesteps = scheduler.timesteps.double().numpy()
                placed = float((timesteps * np.arange(1, len(timesteps) + 1)).sum())
                rows.append([float(timesteps.sum()), placed] if len(timesteps) == steps else None)
            table[f"{name} {spacing}"] = rows
    (folder / "timesteps.json").write_text(json.dumps(table, separators=(",", ":")).replace("]],", "]],\n") + "\n")


LISTED = [999, 812, 601, 433, 250, 120, 33]
ALIGN_YOUR_STEPS = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]
FLOW_SIGMAS = [1.0, 0.93, 0.8, 0.62, 0.41, 0.2, 0.05]


def add_listed(c):
    """Timesteps and sigmas that a caller lists, where set_timesteps takes them; where it does not, what it says."""

    def add(steps, config, model="curved", **options):
        c.add(steps, config, model, **options)

    n = len(LISTED)
    if c.name in ("DDPMScheduler", "HeunDiscreteScheduler", "LCMScheduler", "TCDScheduler"):
        for prediction in IMAGE:
            add(n, {"prediction_type": prediction, "clip_sample": False}, timesteps=LISTED)
        add(n, {}, "linear", timesteps=LISTED)
        add(n, {}, timesteps=LISTED, skippedSteps=2)
    if c.name == "HeunDiscreteScheduler":
        add(n, {"use_karras_sigmas": True}, timesteps=LISTED)
        add(3, {"timestep_spacing": "leading"}, timesteps=[900.5, 300.25, 10.0])
    if c.name in ("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"):
        for order in (1, 2, 3):
            for final in ("zero", "sigma_min"):
                add(n, {**SD, "solver_order": order, "final_sigmas_type": final}, timesteps=LISTED)
        add(n, {"algorithm_type": "sde-dpmsolver++"}, timesteps=LISTED)
        add(n, SD, timesteps=LISTED, skippedSteps=2)
        for placement in PLACEMENTS[1:]:
            add(n, placement, timesteps=LISTED)
    if c.name == "EulerDiscreteScheduler":
        for prediction in IMAGE:
            for final in ("zero", "sigma_min"):
                add(n, {**SD, "prediction_type": prediction, "final_sigmas_type": final}, timesteps=LISTED)
            add(10, {**SD, "prediction_type": prediction}, sigmas=ALIGN_YOUR_STEPS)
            add(11, {**SD, "prediction_type": prediction, "timestep_spacing": "leading"}, sigmas=ALIGN_YOUR_STEPS + [0.0])
        add(n, {"interpolation_type": "log_linear"}, timesteps=LISTED)
        add(n, {"timestep_spacing": "leading"}, timesteps=LISTED)
        add(3, {}, timesteps=[900.5, 300.25, 10.0])
        add(11, {"timestep_type": "continuous", "prediction_type": "v_prediction"}, sigmas=ALIGN_YOUR_STEPS + [0.0])
        add(n, {"timestep_type": "continuous", "prediction_type": "v_prediction"}, timesteps=LISTED)
        add(n, SD, timesteps=LISTED, skippedSteps=2)
        for placement in PLACEMENTS[1:]:
            add(n, placement, timesteps=LISTED)
    if c.name in ("EulerDiscreteScheduler", "EDMEulerScheduler"):
        for prediction in ("epsilon", "v_prediction"):
            config = {"prediction_type": prediction}
            add(11, config, s_churn=5.0)
            add(11, config, s_churn=100.0, s_noise=1.007)
            add(11, config, s_churn=4.0, s_tmin=0.5, s_tmax=10.0, s_noise=1.003)
        add(11, {}, s_churn=3.0, **SKIPPED)
    if c.name == "EulerDiscreteScheduler":
        add(11, {"prediction_type": "sample", "use_karras_sigmas": True}, s_churn=2.0)
        add(11, {"interpolation_type": "log_linear"}, s_churn=2.0)
        add(n, {}, s_churn=2.0, timesteps=LISTED)
    if c.name == "UniPCMultistepScheduler":
        flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
        add(n, flow, sigmas=FLOW_SIGMAS)
        add(n, {**flow, "flow_shift": 3.0, "solver_order": 3, "shift_terminal": 0.02}, sigmas=FLOW_SIGMAS)
        add(n, {**flow, "final_sigmas_type": "sigma_min"}, sigmas=FLOW_SIGMAS, skippedSteps=2)
        add(n, {}, sigmas=FLOW_SIGMAS)
    if c.name == "FlowMatchLCMScheduler":
        add(n, {"shift": 3.0}, sigmas=FLOW_SIGMAS)
        add(n, {"shift": 3.0}, timesteps=[float(t) for t in LISTED])
        add(n, {"use_dynamic_shifting": True}, sigmas=FLOW_SIGMAS, mu=0.7)
    if c.name == "FlowMatchEulerDiscreteScheduler":
        for flags in ({}, {"shift": 3.0}, {"shift": 3.0, "shift_terminal": 0.02}, {"stochastic_sampling": True}, {"invert_sigmas": True}, {"use_karras_sigmas": True}):
            add(n, flags, sigmas=FLOW_SIGMAS)
            add(n, flags, timesteps=[float(t) for t in LISTED])
        add(n, {"shift": 3.0}, sigmas=FLOW_SIGMAS, timesteps=[float(t) for t in LISTED])
        add(n, {"use_dynamic_shifting": True}, sigmas=FLOW_SIGMAS, mu=0.7)
        add(n, {}, sigmas=FLOW_SIGMAS, skippedSteps=2)
    if c.name == "PNDMScheduler":
        for skipped in (1, 2, 3, 4, 7, 10):
            add(11, SD, skippedSteps=skipped)
            add(11, {"prediction_type": "v_prediction"}, "linear", skippedSteps=skipped)
        add(4, {}, skippedSteps=3)


def add_refused(c):
    """Every prediction type and spacing that occurs anywhere, at least once: what a class refuses then stands under "refused"."""
    for prediction in IMAGE + ("flow_prediction",):
        for spacing in SPACINGS:
            key = (prediction, spacing)
            known = {(case["config"].get("prediction_type", "epsilon"), case["config"].get("timestep_spacing")) for case in c.cases}
            if key not in known:
                probe = c.name, {"prediction_type": prediction, "timestep_spacing": spacing}, 11, "linear", {}
                try:
                    run(*probe)
                except Exception:
                    c.add(11, probe[1])


def main():
    folder = pathlib.Path(__file__).resolve().parent.parent / "resources/fixtures/scheduler"
    folder.mkdir(parents=True, exist_ok=True)
    for make in [make for make in ALL if len(sys.argv) == 1 or make.__name__ in sys.argv[1:]]:
        cases = make()
        add_listed(cases)
        add_refused(cases)
        cases.write(folder)
    if len(sys.argv) == 1:
        write_timesteps(folder)


if __name__ == "__main__":
    main()
