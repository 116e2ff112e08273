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
import java.util.List;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.apache.flink.annotation.Internal;

/**
 * A training from where it was saved to its last step.
 *
 * <p>What a step does follows from the saved state alone: a training that was killed and goes on
 * equals the undisturbed one, to the bit on the same machine with the same number of threads.
 *
 * <p>After a spike or a rise of the loss it goes back to the saved state and goes on with the
 * batches behind the spike, since the same batches would lead there again.
 */
@Internal
public final class Training {
  private final TrainableNetwork network;
  private final TrainingSettings settings;
  private final TrainingFolder folder;
  private final Batches batches;
  private Progress progress;

  private Training(
      TrainableNetwork network,
      TrainingSettings settings,
      TrainingFolder folder,
      Batches batches,
      Progress progress) {
    this.network = network;
    this.settings = settings;
    this.folder = folder;
    this.batches = batches;
    this.progress = progress;
  }

  /**
   * Begins a training, or takes it up where it was saved.
   *
   * @param network with its first weights; the caller closes it
   * @param folder where the training is saved
   * @throws EngineException if what was saved is of another network
   */
  public static Training open(
      TrainableNetwork network, TrainingSettings settings, TrainingFolder folder, Batches batches) {
    Optional<Saved> saved = folder.open();
    saved.ifPresent(there -> network.restore(there.state()));
    Progress progress = saved.map(Saved::progress).orElse(Progress.NONE);
    Training training = new Training(network, settings, folder, batches, progress);
    if (saved.isEmpty()) {
      training.save(progress);
    }
    return training;
  }

  /**
   * A step that was made.
   *
   * @param number of steps made, this one included
   * @param loss before it
   * @param gradientNorm before clipping
   * @param rate learning rate
   */
  public record Step(int number, float loss, double gradientNorm, double rate) {}

  /** Told what a training does, by the thread that trains. */
  public interface Listener {
    /** A step was made. */
    default void stepped(Step step) {}

    /** The state was saved; the network is as it is in it. */
    default void saved(int step) {}

    /**
     * The training went back to a saved state.
     *
     * @param from the step that was not made
     * @param to steps made in the saved state
     * @param reason what was wrong with it
     */
    default void returned(int from, int to, String reason) {}
  }

  /** Steps made. */
  public int step() {
    return progress.step();
  }

  /**
   * Trains up to the last step. If that was made before, the listener is told that it is saved: the
   * process may have been killed before it knew.
   *
   * @throws EngineException after too many spikes in a row, or if the engine cannot go on
   */
  public void run(Listener listener) {
    run(listener, () -> false);
  }

  /**
   * As {@link #run(Listener)}, unless it is asked to stop: then it ends after the current step,
   * with its state saved.
   *
   * @param stop asked before each step
   * @return whether all steps were made
   */
  public boolean run(Listener listener, BooleanSupplier stop) {
    if (progress.step() >= settings.rate().totalSteps()) {
      listener.saved(progress.step());
    }
    while (progress.step() < settings.rate().totalSteps()) {
      if (stop.getAsBoolean()) {
        save(progress);
        return false;
      }
      runStep(listener);
    }
    return true;
  }

  private void runStep(Listener listener) {
    long position = progress.position();
    float loss = 0;
    for (int i = 0; i < settings.accumulation(); i++) {
      network.seed(Batches.seedAt(settings.seed(), position));
      HostTensor[] inputs = batches.at(position++);
      loss += network.accumulate(1.0 / settings.accumulation(), inputs) / settings.accumulation();
    }
    double norm = network.gradientNorm();
    LossSpikes spikes = settings.spikes();
    List<Float> losses = spikes.with(progress.losses(), loss);
    Optional<String> spike =
        spikes
            .reason(progress.losses(), loss, norm)
            .or(() -> spikes.risen(losses, progress.lowest()));
    if (spike.isPresent()) {
      goBack(position, spike.get(), listener);
      return;
    }
    int step = progress.step();
    double rate = settings.rate().at(step);
    network.update(
        settings.optimizer(), rate, settings.gradientScale(norm), settings.average().at(step + 1));
    progress =
        new Progress(
            step + 1,
            position,
            losses,
            spikes.lowest(progress.lowest(), losses),
            progress.returns());
    listener.stepped(new Step(step + 1, loss, norm, rate));
    if ((step + 1) % settings.saveEvery() == 0 || step + 1 == settings.rate().totalSteps()) {
      progress = new Progress(step + 1, position, progress.losses(), progress.lowest(), 0);
      save(progress);
      listener.saved(step + 1);
    }
  }

  private void goBack(long position, String reason, Listener listener) {
    int from = progress.step() + 1;
    Saved saved = folder.open().orElseThrow();
    int returns = saved.progress().returns() + 1;
    if (returns > settings.spikes().returns()) {
      throw new EngineException(
          "At step %d %s, after %d returns in a row to the state of step %d: lower the learning rate, clip gradients, or compute in float32."
              .formatted(from, reason, returns - 1, saved.progress().step()));
    }
    network.restore(saved.state());
    Progress there = saved.progress();
    progress = new Progress(there.step(), position, there.losses(), there.lowest(), returns);
    // So that a kill right after it does not lead to the same batches again.
    save(progress);
    listener.returned(from, progress.step(), reason);
  }

  private void save(Progress at) {
    folder.save(new Saved(at, network.state()));
  }
}
