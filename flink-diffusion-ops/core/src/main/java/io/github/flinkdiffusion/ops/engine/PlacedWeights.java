/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.Sha256;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A place in a file for every parameter of a program, so that an engine maps weights and copies
 * none.
 *
 * <p>What the model's own files hold in the parameter's type is mapped from there, and shared by
 * all processes that use the model. Everything else (float16 computed as float32, what a LoRA is
 * added to, transposed weights) is written once into one file, each tensor at a multiple of 64
 * bytes: a kept one, if the program keeps things, whose name is made of all that decides its
 * content, so that it is never stale; else a temporary one that {@link #close} deletes.
 *
 * <p>A kept file appears under its name when it is complete; two processes that miss the same one
 * both write it, and the later move replaces equal bytes with equal bytes. Nothing is ever evicted,
 * since only the owner of the folder knows who shares it; a file in it may be deleted at any time,
 * but must not be written to.
 */
@Internal
public final class PlacedWeights implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(PlacedWeights.class);
  private static final String FORMAT = "converted weights, version 2";
  private static final String SUFFIX = ".weights";
  private static final String PARTIAL = ".partial";

  /**
   * A file that nobody has written to for so long is what a killed process left behind: a writer
   * goes on without pause.
   */
  private static final Duration ABANDONED_AFTER = Duration.ofHours(1);

  /** So that subtasks of one process that miss the same file write it once. */
  private static final Map<Path, Object> WRITING = new ConcurrentHashMap<>();

  private final Map<String, TensorPlace> places;
  private final long bytes;
  private final Optional<Path> temporary;

  private PlacedWeights(Map<String, TensorPlace> places, long bytes, Optional<Path> temporary) {
    this.places = places;
    this.bytes = bytes;
    this.temporary = temporary;
  }

  /** Parameters that no file holds in their type. */
  private record Rest(Map<String, long[]> shapes, Map<String, DType> dtypes, ConvertedFile layout) {
    Rest() {
      this(new LinkedHashMap<>(), new LinkedHashMap<>(), new ConvertedFile());
    }

    void add(String name, long[] shape, DType dtype) {
      shapes.put(name, shape);
      dtypes.put(name, dtype);
      layout.add(name, Math.multiplyExact(Graph.elements(shape), (long) dtype.bytes()));
    }
  }

  /**
   * Finds or makes a place for each parameter.
   *
   * <p>A kept file that is found is checked later, by {@link Program#later}.
   *
   * @throws UncheckedIOException naming the file that cannot be written
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException if weights cannot be read or
   *     converted
   */
  public static PlacedWeights of(Program program) {
    Graph graph = program.graph();
    Map<String, TensorPlace> places = new LinkedHashMap<>();
    Rest rest = new Rest();
    long bytes = 0;
    for (var parameter : graph.parameterShapes().entrySet()) {
      String name = parameter.getKey();
      DType dtype = graph.type(name, program.precision());
      bytes += Graph.elements(parameter.getValue()) * dtype.bytes();
      Optional<TensorPlace> place =
          program.weights().place(name).filter(there -> isMappable(there, dtype));
      if (place.isPresent()) {
        places.put(name, place.get());
      } else {
        rest.add(name, parameter.getValue(), dtype);
      }
    }
    if (rest.layout.isEmpty()) {
      return new PlacedWeights(places, bytes, Optional.empty());
    }
    Path file =
        program.kept().isPresent()
            ? kept(program, program.kept().get(), rest)
            : temporary(program, rest);
    rest.dtypes.forEach(
        (name, dtype) ->
            places.put(name, new TensorPlace(file, rest.layout.range(name).offset(), dtype)));
    return new PlacedWeights(
        places, bytes, program.kept().isPresent() ? Optional.empty() : Optional.of(file));
  }

  /** Libraries read elements at multiples of their size only. */
  private static boolean isMappable(TensorPlace place, DType dtype) {
    return place.dtype() == dtype && place.offset() % dtype.bytes() == 0;
  }

  /** Where a parameter of the program lies, in its own type ({@link Graph#type}). */
  public TensorPlace place(String parameter) {
    return places.get(parameter);
  }

  /** Deletes what is not kept; who has mapped it still reads it. */
  @Override
  public void close() {
    temporary.ifPresent(PlacedWeights::deleteQuietly);
  }

  private static Path temporary(Program program, Rest rest) {
    Path file = null;
    boolean complete = false;
    try {
      file = Files.createTempFile("flink-diffusion-" + program.name(), SUFFIX);
      requireMemory(program.name(), file, rest.layout.size());
      write(program, rest, file, StandardOpenOption.WRITE);
      complete = true;
      return file;
    } catch (IOException e) {
      throw new UncheckedIOException(
          "The weights of %s could not be written to a temporary file: %s. Give the folder of java.io.tmpdir more room, or name a folder for kept weights (diffusion.model.archives)"
              .formatted(program.name(), e),
          e);
    } finally {
      if (file != null && !complete) {
        deleteQuietly(file);
      }
    }
  }

  /** A folder may be in memory, and what is written there then stays in it, as the heap does. */
  private static void requireMemory(String name, Path file, long bytes) throws IOException {
    if (!Files.getFileStore(file).type().equals("tmpfs")) {
      return;
    }
    NativeMemory memory = NativeMemory.ofProcess();
    if (memory.available().orElse(Long.MAX_VALUE) < bytes) {
      memory.giveBackFree();
      long left = memory.available().orElse(Long.MAX_VALUE);
      if (left < bytes) {
        throw new EngineException(
            ("Network %s needs %d MiB of memory for converted weights, but the process may take"
                    + " only %d MiB more, and its temporary folder %s is in memory. Give the process"
                    + " more memory outside of the Java heap (taskmanager.memory.task.off-heap.size,"
                    + " the container's limit), or a folder on disk (java.io.tmpdir,"
                    + " diffusion.model.archives).")
                .formatted(name, bytes >> 20, left >> 20, file.getParent()));
      }
    }
  }

  /** Bytes of all parameters together: what a network on the CPU reads in each call. */
  public long bytes() {
    return bytes;
  }

  private static Path kept(Program program, Path folder, Rest rest) {
    Sha256 key = new Sha256().add(FORMAT).add(program.digest().get());
    rest.shapes.forEach(
        (name, shape) -> {
          key.add(name).add(rest.dtypes.get(name).name());
          for (long size : shape) {
            key.number(size);
          }
        });
    // Half of SHA-256: enough for content that nobody forges, and messages stay readable.
    Path file =
        folder
            .toAbsolutePath()
            .normalize()
            .resolve(program.name() + "-" + key.hex().substring(0, 32) + SUFFIX);
    synchronized (WRITING.computeIfAbsent(file, path -> new Object())) {
      try {
        if (rest.layout.isComplete(file)) {
          program.later().accept(() -> rest.layout.verify(file));
        } else {
          writeKept(program, rest, file);
        }
        return file;
      } catch (IOException e) {
        throw new UncheckedIOException(
            "Weights %s could not be written: %s. Give a folder with enough room that this process may write to, or none to use temporary files"
                .formatted(file, e),
            e);
      }
    }
  }

  private static void writeKept(Program program, Rest rest, Path file) throws IOException {
    Path partial = file.resolveSibling(file.getFileName() + "." + UUID.randomUUID() + PARTIAL);
    try {
      Files.createDirectories(file.getParent());
      deleteAbandoned(file.getParent());
      // Not createTempFile, whose files only their owner may read: others map the file.
      write(program, rest, partial, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
      // Asked again: it refuses if the weights' files have changed since the name was made of them.
      program.digest().get();
      Files.move(
          partial, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      LOG.info("Weights {} were written", file);
    } finally {
      deleteQuietly(partial);
    }
  }

  private static void write(Program program, Rest rest, Path file, StandardOpenOption... options)
      throws IOException {
    rest.layout.write(
        file,
        program.name(),
        (name, out) -> program.weights().write(name, rest.shapes.get(name), out),
        options);
  }

  private static void deleteAbandoned(Path folder) throws IOException {
    Instant limit = Instant.now().minus(ABANDONED_AFTER);
    try (DirectoryStream<Path> partials =
        Files.newDirectoryStream(folder, "*" + SUFFIX + ".*" + PARTIAL)) {
      for (Path partial : partials) {
        try {
          if (Files.getLastModifiedTime(partial).toInstant().isBefore(limit)) {
            Files.deleteIfExists(partial);
          }
        } catch (NoSuchFileException alreadyGone) {
          LOG.debug("{} was finished or deleted by another process", partial);
        }
      }
    }
  }

  private static void deleteQuietly(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      LOG.warn("{} could not be deleted: {}", file, e.toString());
    }
  }
}
