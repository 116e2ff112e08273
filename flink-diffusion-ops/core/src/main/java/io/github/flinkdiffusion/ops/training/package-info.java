/**
 * Training on the same networks that run: an objective is a graph whose {@code forward} returns a
 * loss, so what was trained is by construction what is called later.
 *
 * <pre>{@code
 * Graph objective = new DenoisingObjective(textEncoder, unet, tokens, PredictionTarget.V).graph();
 * new ArchiveWriter(objective, Precision.FLOAT32).write(archive, new WeightInitializer(seed));
 * try (TrainableNetwork network = TrainableNetwork.load(archive, DeviceSpec.CPU)) {
 *   float loss = network.step(AdamW.DEFAULT, 1e-4, 0.999, batch);
 * }
 * }</pre>
 */
package io.github.flinkdiffusion.ops.training;
