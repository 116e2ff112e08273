/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Training on the same networks that run: an objective is a graph whose {@code forward} returns a
 * loss, so what was trained is by construction what is called later. The engine computes gradients
 * and updates; what is here decides which, and how a training is saved.
 *
 * <pre>{@code
 * var objective = new DiffusionObjective(Denoiser.unconditional(unet), 3, PredictionTarget.V);
 * var inputs = new DiffusionInputs(objective, TrainingLevels.of(schedulerConfig));
 * Program program = Program.of("unet", objective.graph(), Precision.FLOAT32, new WeightInitializer(seed));
 * try (TrainableNetwork network = Engines.standard().trainer().train(program, device, arithmetic)) {
 *   Batches batches = at -> inputs.drawn(new Random(at), images.batch(at));
 *   Training.open(network, settings, new TrainingFolder(work), batches).run(listener);
 * }
 * }</pre>
 */
package io.github.flinkdiffusion.ops.training;
