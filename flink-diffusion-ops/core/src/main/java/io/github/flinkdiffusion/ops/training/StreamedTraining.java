/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.training.TrainingFolder.Progress;
import io.github.flinkdiffusion.ops.training.TrainingFolder.Saved;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * A training whose data comes step by step, and whose caller says when it is saved. What a step
 * does follows from the state and its batches alone, as in a {@link Training}.
 *
 * <p>A step whose loss is a spike changes nothing: unlike a folder, a stream does not offer its
 * batches again, so there is no way back. For the same reason, and because what arrives may change,
 * no rise of the loss is looked for.
 */
@Internal
public final class StreamedTraining {
  private final TrainableNetwork network;
  private final TrainingSettings settings;
  private final TrainingFolder folder;
  private Progress progress;

  private StreamedTraining(
      TrainableNetwork network,
      TrainingSettings settings,
      TrainingFolder folder,
      Progress progress) {
    this.network = network;
    this.settings = settings;
    this.folder = folder;
    this.progress = progress;
  }

  /**
   * Begins a training, or takes it up where it was saved.
   *
   * @param network with its first weights; the caller closes it
   * @param folder of the files that references name
   * @param reference that {@link #save} returned
   */
  public static StreamedTraining open(
      TrainableNetwork network,
      TrainingSettings settings,
      Path folder,
      Optional<String> reference) {
    TrainingFolder files = new TrainingFolder(folder);
    Optional<Saved> saved = reference.map(files::read);
    saved.ifPresent(there -> network.restore(there.state()));
    return new StreamedTraining(
        network, settings, files, saved.map(Saved::progress).orElse(Progress.NONE));
  }

  /** Steps made or left out. */
  public int step() {
    return progress.step();
  }

  /**
   * A step.
   *
   * @param batches of which the next {@link TrainingSettings#accumulation} are asked for
   * @return empty if its loss was a spike, so that it was left out
   * @throws EngineException after too many spikes in a row
   */
  public Optional<Training.Step> run(Batches batches) {
    long position = progress.position();
    float loss = 0;
    for (int i = 0; i < settings.accumulation(); i++) {
      network.seed(Batches.seedAt(settings.seed(), position));
      HostTensor[] inputs = batches.at(position++);
      loss += network.accumulate(1.0 / settings.accumulation(), inputs) / settings.accumulation();
    }
    double norm = network.gradientNorm();
    int step = progress.step();
    Optional<String> spike = settings.spikes().reason(progress.losses(), loss, norm);
    if (spike.isPresent()) {
      int inRow = progress.returns() + 1;
      if (inRow > settings.spikes().returns()) {
        throw new EngineException(
            "At step %d %s, after %d such steps in a row: lower the learning rate, clip gradients, or compute in float32."
                .formatted(step + 1, spike.get(), inRow - 1));
      }
      network.discard();
      progress = new Progress(step + 1, position, progress.losses(), Optional.empty(), inRow);
      return Optional.empty();
    }
    double rate = settings.rate().at(step);
    network.update(
        settings.optimizer(), rate, settings.gradientScale(norm), settings.average().at(step + 1));
    progress =
        new Progress(
            step + 1,
            position,
            settings.spikes().with(progress.losses(), loss),
            Optional.empty(),
            0);
    return Optional.of(new Training.Step(step + 1, loss, norm, rate));
  }

  /**
   * Saves the state in a file of its own.
   *
   * @return names the file and all that is not in it, in a few hundred bytes
   */
  public String save() {
    return folder.write(new Saved(progress, network.state()));
  }

  /** Deletes the files of other references than these. */
  public void keep(Collection<String> references) {
    folder.keep(references);
  }
}
