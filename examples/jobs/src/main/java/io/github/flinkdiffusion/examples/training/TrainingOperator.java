/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.training.StreamedTraining;
import io.github.flinkdiffusion.ops.training.Training;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

/**
 * Trains what a recipe says with the examples that arrive, in their order, and emits an event for
 * each version of the model.
 *
 * <p>Its state is a reference to a file of weights and moments in the recipe's folder, which is
 * written before the checkpoint ends, and the examples of a step that is not full. Files are
 * deleted when no checkpoint of the last {@link #KEPT} needs them. So a job that was killed goes on
 * with the same steps: with the same order of examples, its losses are those of an undisturbed run.
 *
 * <p>A step is made by the task's own thread: a checkpoint waits for at most one.
 */
final class TrainingOperator extends AbstractStreamOperator<ModelEvent>
    implements OneInputStreamOperator<ExampleEvent, ModelEvent>, BoundedOneInput {
  private static final long serialVersionUID = 1L;

  /** Completed checkpoints whose files stay, for a job that is started from one before the last. */
  private static final int KEPT = 3;

  private static final String REFERENCE = "diffusion-training";
  private static final String EXAMPLES = "diffusion-training-examples";

  private final String recipeFile;
  private final String model;

  private transient ListState<String> references;
  private transient ListState<ExampleEvent> waiting;
  private transient TreeMap<Long, String> pending;
  private transient Deque<String> completed;
  private transient boolean hasTurn;
  private transient Recipe recipe;
  private transient StreamWindow window;
  private transient TrainingTask task;
  private transient TrainableNetwork network;
  private transient StreamedTraining training;

  /**
   * @param recipeFile on a file system that all task managers see
   * @param model named in the events
   */
  TrainingOperator(String recipeFile, String model) {
    this.recipeFile = recipeFile;
    this.model = model;
  }

  @Override
  public void initializeState(StateInitializationContext context) throws Exception {
    super.initializeState(context);
    references =
        context
            .getOperatorStateStore()
            .getListState(new ListStateDescriptor<>(REFERENCE, Types.STRING));
    waiting =
        context
            .getOperatorStateStore()
            .getListState(
                new ListStateDescriptor<>(EXAMPLES, TypeInformation.of(ExampleEvent.class)));
    pending = new TreeMap<>();
    completed = new ArrayDeque<>();
  }

  @Override
  public void open() throws Exception {
    super.open();
    TrainingTurn.await();
    hasTurn = true;
    recipe = Recipe.read(Path.of(recipeFile));
    window =
        new StreamWindow(recipe.batch() * recipe.settings().accumulation(), recipe.task().pairs());
    task = TrainCommand.task(recipe, window);
    Engine engine = Engines.standard().trainer();
    DeviceSpec device = engine.device(recipe.device());
    network =
        engine.train(
            Program.of("objective", task.graph(), Precision.FLOAT32, task.weights()),
            device,
            recipe.arithmetic(),
            task::trains);
    Optional<String> reference = Optional.empty();
    for (String each : references.get()) {
      reference = Optional.of(each);
    }
    training =
        StreamedTraining.open(network, recipe.settings(), recipe.out().resolve("state"), reference);
    reference.ifPresent(completed::add);
    for (ExampleEvent example : waiting.get()) {
      window.add(example);
    }
  }

  @Override
  public void processElement(StreamRecord<ExampleEvent> element) throws Exception {
    ExampleEvent event = element.getValue();
    try {
      window.add(event);
    } catch (RuntimeException e) {
      output.collect(
          TrainingStreams.REJECTED, new StreamRecord<>(event.id + ": " + e.getMessage()));
      return;
    }
    if (!window.full()) {
      return;
    }
    Optional<Training.Step> step = training.run(task);
    window.clear();
    step.ifPresent(
        made ->
            output.collect(
                TrainingStreams.LOSSES, new StreamRecord<>(made.number() + " " + made.loss())));
    if (training.step() % recipe.settings().saveEvery() == 0) {
      publish();
    }
  }

  /** A stream that ends leaves its last steps as a version; the rest is too few for a step. */
  @Override
  public void endInput() throws Exception {
    if (training.step() % recipe.settings().saveEvery() != 0) {
      publish();
    }
  }

  private void publish() throws IOException {
    String version = "step-%08d".formatted(training.step());
    Path folder = recipe.out().resolve("versions").resolve(version);
    task.export(network.averagedWeights());
    if (Files.exists(folder)) {
      // Published before the job was killed: the same steps gave the same weights, which others may
      // have open.
      delete(task.model());
    } else {
      Files.createDirectories(folder.getParent());
      Files.move(task.model(), folder, StandardCopyOption.ATOMIC_MOVE);
    }
    output.collect(
        new StreamRecord<>(
            ModelEvent.newBuilder()
                .setId(model + "-" + version)
                .setModel(model)
                .setVersion(version)
                .setFolder(folder.toAbsolutePath().toString())
                .build()));
  }

  private static void delete(Path folder) throws IOException {
    List<Path> files;
    try (Stream<Path> found = Files.walk(folder)) {
      files = found.sorted(java.util.Comparator.reverseOrder()).toList();
    }
    for (Path file : files) {
      Files.delete(file);
    }
  }

  @Override
  public void snapshotState(StateSnapshotContext context) throws Exception {
    super.snapshotState(context);
    String reference = training.save();
    references.update(List.of(reference));
    waiting.update(window.events());
    pending.put(context.getCheckpointId(), reference);
  }

  @Override
  public void notifyCheckpointComplete(long checkpointId) throws Exception {
    super.notifyCheckpointComplete(checkpointId);
    String reference = pending.get(checkpointId);
    pending.headMap(checkpointId, true).clear();
    if (reference == null) {
      return;
    }
    completed.remove(reference);
    completed.addLast(reference);
    while (completed.size() > KEPT) {
      completed.removeFirst();
    }
    training.keep(Stream.concat(completed.stream(), pending.values().stream()).toList());
  }

  @Override
  public void close() throws Exception {
    try {
      if (network != null) {
        network.close();
      }
      if (task != null) {
        task.close();
      }
    } finally {
      network = null;
      task = null;
      if (hasTurn) {
        hasTurn = false;
        TrainingTurn.end();
      }
      super.close();
    }
  }
}
