/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.TrainingState;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.flink.annotation.Internal;

/**
 * Where a training is saved: {@code training.json} names the file of weights and moments that
 * belongs to it and is replaced atomically after that file is complete. So whenever a process is
 * killed, the folder holds the state before or the state after.
 */
@Internal
public final class TrainingFolder {
  private static final String PROGRESS = "training.json";
  private static final String STATE = "state-";
  private static final String SUFFIX = ".safetensors";
  private static final String LOWEST = "lowest";
  private static final int FORMAT = 1;
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path folder;

  public TrainingFolder(Path folder) {
    this.folder = folder;
  }

  /**
   * How far a training is.
   *
   * @param step updates made
   * @param position of the next batch; runs ahead of the steps when a spike's batches were skipped
   * @param losses of the last steps, for what counts as a spike
   * @param lowest level of the losses so far, for what counts as a rise
   * @param returns how often in a row the training returned to a saved state
   */
  record Progress(
      int step, long position, List<Float> losses, Optional<LossLevel> lowest, int returns) {
    static final Progress NONE = new Progress(0, 0, List.of(), Optional.empty(), 0);

    Progress {
      losses = List.copyOf(losses);
    }
  }

  /** What is saved: how far the training is, and all that its next step depends on. */
  record Saved(Progress progress, TrainingState state) {}

  /**
   * Saves a state and deletes the one before.
   *
   * @throws WeightsException if it cannot be written; the state before is then as it was
   */
  void save(Saved saved) {
    Progress progress = saved.progress();
    String name = STATE + progress.step() + "-" + progress.position() + SUFFIX;
    TrainingCheckpoint.write(folder.resolve(name), saved.state());
    writeProgress(progress, name);
    deleteOthers(Set.of(name));
  }

  /**
   * Writes a state beside those that are there.
   *
   * @return what {@link #read} reads it by, a few hundred bytes
   * @throws WeightsException if it cannot be written
   */
  String write(Saved saved) {
    Progress progress = saved.progress();
    String name = STATE + progress.step() + "-" + progress.position() + SUFFIX;
    TrainingCheckpoint.write(folder.resolve(name), saved.state());
    return json(progress, name).toString();
  }

  /**
   * Reads a state.
   *
   * @param reference that {@link #write} returned
   * @throws WeightsException if the state is not there any more, or cannot be read
   */
  Saved read(String reference) {
    try {
      return parse(JSON.readTree(reference), "The reference to a training's state");
    } catch (JsonProcessingException e) {
      throw new WeightsException(
          "The reference '%s' to a training's state is not valid JSON.".formatted(reference), e);
    }
  }

  /** Deletes states that none of the references needs. */
  void keep(Collection<String> references) {
    Set<String> names = new HashSet<>();
    for (String reference : references) {
      try {
        names.add(JSON.readTree(reference).path("state").asText());
      } catch (JsonProcessingException e) {
        throw new WeightsException(
            "The reference '%s' to a training's state is not valid JSON.".formatted(reference), e);
      }
    }
    deleteOthers(names);
  }

  private static ObjectNode json(Progress progress, String state) {
    ObjectNode json = JSON.createObjectNode();
    json.put("format", FORMAT);
    json.put("step", progress.step());
    json.put("position", progress.position());
    json.put("returns", progress.returns());
    json.put("state", state);
    progress.losses().forEach(json.withArray("losses")::add);
    progress
        .lowest()
        .ifPresent(
            lowest ->
                json.putObject(LOWEST)
                    .put("median", lowest.median())
                    .put("scatter", lowest.scatter()));
    return json;
  }

  private void writeProgress(Progress progress, String state) {
    ObjectNode json = json(progress, state);
    Path partial = folder.resolve(PROGRESS + ".partial");
    try {
      byte[] bytes = (json.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8);
      try (FileChannel out =
          FileChannel.open(
              partial,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE)) {
        ByteBuffer rest = ByteBuffer.wrap(bytes);
        while (rest.hasRemaining()) {
          out.write(rest);
        }
        out.force(true);
      }
      Files.move(partial, folder.resolve(PROGRESS), StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new WeightsException(
          "The progress of the training cannot be written to %s: %s".formatted(folder, e), e);
    }
  }

  /** A file that cannot be deleted takes room and does no harm. */
  private void deleteOthers(Set<String> current) {
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        String name = file.getFileName().toString();
        if (name.startsWith(STATE) && name.contains(SUFFIX) && !current.contains(name)) {
          Files.deleteIfExists(file);
        }
      }
    } catch (IOException e) {
      // The next save tries again.
    }
  }

  /**
   * The saved state; empty if the folder has none.
   *
   * @throws WeightsException if it cannot be read
   */
  Optional<Saved> open() {
    Path file = folder.resolve(PROGRESS);
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    try {
      return Optional.of(parse(JSON.readTree(file.toFile()), file.toString()));
    } catch (JsonProcessingException e) {
      throw new WeightsException(
          "%s is not valid JSON: %s. Delete it to start again."
              .formatted(file, e.getOriginalMessage()),
          e);
    } catch (IOException e) {
      throw new WeightsException("%s cannot be read: %s".formatted(file, e), e);
    }
  }

  private Saved parse(JsonNode json, String source) {
    if (json.path("format").asInt() != FORMAT) {
      throw new WeightsException(
          "%s has format %s; this version reads format %d."
              .formatted(source, json.path("format"), FORMAT));
    }
    List<Float> losses = new ArrayList<>();
    json.path("losses").forEach(loss -> losses.add(loss.floatValue()));
    Progress progress =
        new Progress(
            json.path("step").asInt(),
            json.path("position").asLong(),
            losses,
            lowest(json.path(LOWEST)),
            json.path("returns").asInt());
    String name = json.path("state").asText();
    if (!name.startsWith(STATE) || !Path.of(name).equals(Path.of(name).getFileName())) {
      throw new WeightsException(
          "%s names the state '%s'; expected a file %s...%s beside it."
              .formatted(source, name, STATE, SUFFIX));
    }
    return new Saved(progress, TrainingCheckpoint.read(folder.resolve(name)));
  }

  /** Folders of earlier versions have none; it is then that of the windows to come. */
  private static Optional<LossLevel> lowest(JsonNode json) {
    return json.isObject()
        ? Optional.of(
            new LossLevel(json.path("median").asDouble(), json.path("scatter").asDouble()))
        : Optional.empty();
  }

  /**
   * Takes up a state file of an earlier version, whose step is also its batch's position, unless
   * the folder has a state already.
   *
   * @param file written by {@link TrainingCheckpoint}; need not exist
   */
  public void adopt(Path file) {
    if (Files.exists(file) && !Files.exists(folder.resolve(PROGRESS))) {
      TrainingState state = TrainingCheckpoint.read(file);
      Progress progress =
          new Progress(state.updates(), state.updates(), List.of(), Optional.empty(), 0);
      save(new Saved(progress, state));
    }
  }
}
