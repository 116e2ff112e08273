/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Converted weights in a folder that threads, processes, disks and persons share. */
class KeptWeightsTest {
  @TempDir private Path temp;

  private Path folder;
  private final AtomicInteger writes = new AtomicInteger();

  @BeforeEach
  void open() {
    folder = temp.resolve("kept");
  }

  private static Graph graph(long rows) {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    forward.returns(
        forward.linear(forward.input("x", 2), graph.parameter("w", rows, 4 / rows), null));
    return graph;
  }

  private static TensorStore weights(float first) {
    return HeapTensors.builder().add("w", new float[] {first, 2, 3, 4}, 2, 2).build();
  }

  private Path get(
      Graph graph, Precision precision, Supplier<String> digest, ParameterSource weights) {
    Program program = new Program("net", graph, precision, weights, digest, Optional.of(folder));
    try (PlacedWeights placed = PlacedWeights.of(program)) {
      return placed.place("w").file();
    }
  }

  private Path get(Graph graph, Precision precision, TensorStore weights) {
    return get(
        graph,
        precision,
        weights::digest,
        (name, shape, out) -> {
          writes.incrementAndGet();
          weights.writeTo(name, precision.type(), out);
        });
  }

  private Path get(TensorStore weights) {
    return get(graph(2), Precision.FLOAT32, weights);
  }

  private List<Path> files() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.toList();
    }
  }

  @Test
  void aFileIsWrittenOnceAndThenFound() throws Exception {
    Path file = get(weights(1));
    long checksum = KeptWeightsProcess.checksum(file);

    assertThat(get(weights(1))).isEqualTo(file);
    assertThat(writes).hasValue(1);
    assertThat(KeptWeightsProcess.checksum(file)).isEqualTo(checksum);
    assertThat(files()).containsExactly(file);
  }

  @Test
  void whateverDecidesTheContentIsAnotherFile() throws Exception {
    get(weights(1));
    get(weights(9));
    get(graph(1), Precision.FLOAT32, weights(1));
    get(graph(2), Precision.FLOAT16, weights(1));

    assertThat(files()).hasSize(4);
  }

  @Test
  void weightsThatChangeWithoutChangingTheirTimeAreNewWeights() throws Exception {
    Path model = temp.resolve("model.safetensors");
    SafetensorsWriter.write(model, weights(1));
    FileTime time = Files.getLastModifiedTime(model);
    Path before;
    try (TensorStore store = Safetensors.open(model)) {
      before = get(store);
    }
    SafetensorsWriter.write(model, weights(9));
    Files.setLastModifiedTime(model, time);

    try (TensorStore store = Safetensors.open(model)) {
      assertThat(get(store)).isNotEqualTo(before);
    }
  }

  @Test
  void weightsThatChangeWhileTheyAreLoadedGiveNoFile() throws Exception {
    Path model = temp.resolve("model.safetensors");
    SafetensorsWriter.write(model, weights(1));
    try (TensorStore store = Safetensors.open(model)) {
      ParameterSource meanwhile =
          (name, shape, out) -> {
            SafetensorsWriter.write(model, weights(9));
            store.writeTo(name, DType.F32, out);
          };
      assertThatThrownBy(() -> get(graph(2), Precision.FLOAT32, store::digest, meanwhile))
          .isInstanceOf(WeightsException.class)
          .hasMessageContainingAll(model.toString(), "changed while its model was being loaded");
    }
    assertThat(files()).isEmpty();
  }

  @Test
  void aTruncatedFileIsWrittenAnew() throws Exception {
    Path file = get(weights(1));
    long checksum = KeptWeightsProcess.checksum(file);
    try (RandomAccessFile shorter = new RandomAccessFile(file.toFile(), "rw")) {
      shorter.setLength(shorter.length() / 2);
    }
    assertThat(KeptWeightsProcess.checksum(get(weights(1)))).isEqualTo(checksum);
  }

  @Test
  void aFileThatWasNotWrittenToItsEndIsWrittenAnew() throws Exception {
    Path file = get(weights(1));
    byte[] good = Files.readAllBytes(file);
    // What a machine that loses its power may leave: the length, and no content.
    Files.write(file, new byte[good.length]);

    assertThat(get(weights(1))).isEqualTo(file).hasBinaryContent(good);
  }

  @Test
  void aWrongBitIsFoundByTheCheckThatComesLaterAndTheNextAttemptWritesTheFileAnew()
      throws Exception {
    Path file = get(weights(1));
    byte[] good = Files.readAllBytes(file);
    byte[] bad = good.clone();
    bad[5] ^= 1;
    Files.write(file, bad);
    List<Runnable> later = new ArrayList<>();
    TensorStore weights = weights(1);
    Program program =
        new Program(
            "net",
            graph(2),
            Precision.FLOAT32,
            (name, shape, out) -> weights.writeTo(name, DType.F32, out),
            weights::digest,
            Optional.of(folder),
            later::add);
    PlacedWeights.of(program).close();

    assertThat(later).hasSize(1);
    assertThatThrownBy(later.get(0)::run)
        .isInstanceOf(WeightsException.class)
        .hasMessageContainingAll(file.toString(), "corrupt", "checksum of w", "writes it again")
        .hasCauseInstanceOf(IOException.class);
    assertThat(get(weights(1))).isEqualTo(file).hasBinaryContent(good);
  }

  @Test
  void aFailedWriteLeavesNothing() throws Exception {
    ParameterSource failing =
        (name, shape, out) -> {
          throw new IOException("the disk is full");
        };
    assertThatThrownBy(() -> get(graph(2), Precision.FLOAT32, weights(1)::digest, failing))
        .isInstanceOf(UncheckedIOException.class)
        .hasMessageContainingAll(folder.toString(), "the disk is full", "enough room");
    assertThat(files()).isEmpty();
  }

  @Test
  void aFolderThatCannotBeMadeIsOneClearError() throws Exception {
    Files.writeString(temp.resolve("file"), "not a folder");
    folder = temp.resolve("file").resolve("kept");

    assertThatThrownBy(() -> get(weights(1)))
        .isInstanceOf(UncheckedIOException.class)
        .hasMessageContainingAll(folder.toString(), "folder", "may write to");
  }

  @Test
  void whatAKilledProcessLeftIsHarmlessAndDeletedLater() throws Exception {
    try (Child killed = new Child("killed")) {
      killed.go();
      assertThat(killed.process.waitFor()).isEqualTo(3);
    }
    assertThat(files()).hasSize(1);
    Path left = files().get(0);
    assertThat(left.getFileName().toString()).endsWith(".partial");

    // It may be another process at work, so it stays for now; and the file comes whole.
    long expected = KeptWeightsProcess.get(temp.resolve("other"), 0);
    assertThat(KeptWeightsProcess.get(folder, 0)).isEqualTo(expected);
    assertThat(left).exists();

    Files.setLastModifiedTime(left, FileTime.from(Instant.now().minus(Duration.ofHours(2))));
    KeptWeightsProcess.get(folder, 1);
    assertThat(left).doesNotExist();
    assertThat(files()).hasSize(2);
  }

  @Test
  void threadsThatMissTheSameFileWriteItOnce() throws Exception {
    int threads = 8;
    CyclicBarrier together = new CyclicBarrier(threads);
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try {
      List<Future<Path>> results = new ArrayList<>();
      for (int i = 0; i < threads; i++) {
        results.add(
            pool.submit(
                () -> {
                  together.await();
                  return get(weights(1));
                }));
      }
      for (Future<Path> result : results) {
        assertThat(result.get()).exists();
      }
    } finally {
      pool.shutdownNow();
    }
    assertThat(files()).hasSize(1);
    assertThat(writes).as("each tensor is asked for once").hasValue(1);
  }

  @Test
  void processesThatRaceAllGetWholeFiles() throws Exception {
    List<String> expected = new ArrayList<>();
    for (int i = 0; i < KeptWeightsProcess.FILES; i++) {
      expected.add(String.valueOf(KeptWeightsProcess.get(temp.resolve("alone"), i)));
    }
    try (Child one = new Child("whole");
        Child two = new Child("whole")) {
      one.go();
      two.go();
      assertThat(one.lines()).isEqualTo(expected);
      assertThat(two.lines()).isEqualTo(expected);
      assertThat(one.process.waitFor()).isZero();
      assertThat(two.process.waitFor()).isZero();
    }
    assertThat(files())
        .hasSize(KeptWeightsProcess.FILES)
        .allSatisfy(file -> assertThat(file.toString()).endsWith(".weights"));
  }

  /** A {@link KeptWeightsProcess} that has started and waits. */
  private final class Child implements AutoCloseable {
    final Process process;
    private final BufferedReader output;

    Child(String mode) throws IOException {
      process =
          new ProcessBuilder(
                  Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                  "-cp",
                  System.getProperty("java.class.path"),
                  KeptWeightsProcess.class.getName(),
                  folder.toString(),
                  mode)
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      output = process.inputReader(StandardCharsets.UTF_8);
      assertThat(output.lines().anyMatch("ready"::equals)).isTrue();
    }

    void go() throws IOException {
      process.getOutputStream().write('\n');
      process.getOutputStream().flush();
    }

    /** What it prints from now until its end, less the log. */
    List<String> lines() {
      return output.lines().filter(line -> line.matches("\\d+")).toList();
    }

    @Override
    public void close() {
      process.destroyForcibly();
    }
  }
}
