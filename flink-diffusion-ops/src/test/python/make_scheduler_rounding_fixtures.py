#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Scheduler configs whose result hangs on how the reference rounds or counts, one of each kind: fixtures/scheduler/rounding.json.

    python make_scheduler_rounding_fixtures.py

RandomSchedulerConfigsTest takes them for equal, where need be to the reference with correctly rounded square roots. Runs in a few seconds.
"""

import json
import pathlib

from random_scheduler_cases import expected

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "resources/fixtures/scheduler"
EXPONENTIAL = {"use_exponential_sigmas": True}
BETA = {"use_beta_sigmas": True}
OTHER_BETAS = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}
ROOT_DECIDES = {"beta_start": 0.0005, "beta_end": 0.015, "beta_schedule": "linear"}
CLIPPED = {"timestep_spacing": "trailing", "lambda_min_clipped": -3.0, "beta_start": 0.001, "beta_end": 0.015}

CASES = [
    # A single step is at sigma_min.
    ("EDMEulerScheduler", 1, {"sigma_schedule": "exponential"}, {}),
    # One call more than steps.
    ("EulerDiscreteScheduler", 5, {"interpolation_type": "log_linear", "timestep_type": "continuous", "prediction_type": "v_prediction"}, {}),
    # The first timestep is 998 or 999.
    *[
        (name, 6, {**OTHER_BETAS, **placement}, {})
        for name in ("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "DEISMultistepScheduler", "UniPCMultistepScheduler")
        for placement in (EXPONENTIAL, BETA)
    ],
    # The same, where a square root that is off by one bit decides it.
    ("DPMSolverMultistepScheduler", 6, {**ROOT_DECIDES, **EXPONENTIAL}, {}),
    ("DPMSolverSinglestepScheduler", 7, {"use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": "flow_prediction"}, {}),
    # The last two sigmas are the same.
    ("EDMDPMSolverMultistepScheduler", 15, {"rho": 3, "sigma_min": 0.03, "sigma_max": 14.6, "solver_order": 3, "solver_type": "heun", "final_sigmas_type": "sigma_min"}, {}),
    # Karras' sigmas do not end where the config says.
    ("LMSDiscreteScheduler", 8, {"use_karras_sigmas": True, "sigma_max": 30.5, "sigma_min": 0.1}, {}),
    # The range of timesteps is one too long, and sigmas are placed between its ends.
    ("LMSDiscreteScheduler", 30, {"use_karras_sigmas": True, "timestep_spacing": "trailing", "num_train_timesteps": 999}, {}),
    # Fewer steps than asked for are left.
    ("DPMSolverMultistepScheduler", 8, CLIPPED, {}),
    ("SASolverScheduler", 12, {**CLIPPED, "corrector_order": 3, "lower_order_final": False}, {"skippedSteps": 7}),
    ("DPMSolverMultistepInverseScheduler", 8, CLIPPED, {}),
]


def main():
    lines = [json.dumps(expected(name, config, steps, options, "curved"), separators=(",", ":")) for name, steps, config, options in CASES]
    path = FOLDER / "rounding.json"
    path.write_text('{"cases":[\n%s\n]}\n' % ",\n".join(lines))
    print(f"{len(lines)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
