package io.github.flinkdiffusion.ops.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
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
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ArchiveCacheTest {
  @TempDir private Path temp;

  private Path folder;
  private ArchiveCache cache;
  private final AtomicInteger writes = new AtomicInteger();

  @BeforeEach
  void open() {
    folder = temp.resolve("archives");
    cache = ArchiveCache.in(folder);
  }

  private static ArchiveWriter writer(Precision storage, double factor) {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    forward.returns(
        forward.multiply(
            forward.linear(forward.input("x", 2), graph.parameter("w", 2, 2), null), factor));
    return new ArchiveWriter(graph, storage);
  }

  private static TensorStore weights(float first) {
    return HeapTensors.builder().add("w", new float[] {first, 2, 3, 4}, 2, 2).build();
  }

  private Path get(ArchiveWriter writer, DType dtype, TensorStore weights) {
    ParameterSource counting =
        (name, shape, out) -> {
          writes.incrementAndGet();
          weights.writeTo(name, dtype, out);
        };
    return cache.with("net", writer, weights::digest, counting, path -> path);
  }

  private Path get(TensorStore weights) {
    return get(writer(Precision.FLOAT32, 2), DType.F32, weights);
  }

  private List<Path> files() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.toList();
    }
  }

  @Test
  void anArchiveIsWrittenOnceAndThenFound() throws Exception {
    Path archive = get(weights(1));
    long checksum = ArchiveCacheProcess.checksum(archive);
    int written = writes.get();

    assertThat(get(weights(1))).isEqualTo(archive);
    assertThat(ArchiveCache.in(folder).toString()).contains(folder.toString());
    assertThat(writes).hasValue(written);
    assertThat(ArchiveCacheProcess.checksum(archive)).isEqualTo(checksum);
    assertThat(files()).containsExactly(archive);
  }

  @Test
  void whateverDecidesTheContentIsAnotherArchive() throws Exception {
    get(weights(1));
    get(weights(9));
    get(writer(Precision.FLOAT32, 3), DType.F32, weights(1));
    get(writer(Precision.FLOAT16, 2), DType.F16, weights(1));

    assertThat(files()).hasSize(4);
  }

  @Test
  void weightsThatChangeWithoutChangingTheirTimeAreNewWeights() throws Exception {
    Path file = temp.resolve("model.safetensors");
    SafetensorsWriter.write(file, weights(1));
    FileTime time = Files.getLastModifiedTime(file);
    Path before;
    try (TensorStore store = Safetensors.open(file)) {
      before = get(store);
    }
    SafetensorsWriter.write(file, weights(9));
    Files.setLastModifiedTime(file, time);

    try (TensorStore store = Safetensors.open(file)) {
      assertThat(get(store)).isNotEqualTo(before);
    }
  }

  @Test
  void weightsThatChangeWhileTheyAreLoadedGiveNoArchive() throws Exception {
    Path file = temp.resolve("model.safetensors");
    SafetensorsWriter.write(file, weights(1));
    try (TensorStore store = Safetensors.open(file)) {
      ParameterSource meanwhile =
          (name, shape, out) -> {
            SafetensorsWriter.write(file, weights(9));
            store.writeTo(name, DType.F32, out);
          };
      assertThatThrownBy(
              () ->
                  cache.with(
                      "net", writer(Precision.FLOAT32, 2), store::digest, meanwhile, path -> path))
          .isInstanceOf(WeightsException.class)
          .hasMessageContainingAll(file.toString(), "changed while its model was being loaded");
    }
    assertThat(files()).isEmpty();
  }

  @Test
  void aTruncatedArchiveIsWrittenAnew() throws Exception {
    Path archive = get(weights(1));
    long checksum = ArchiveCacheProcess.checksum(archive);
    try (RandomAccessFile file = new RandomAccessFile(archive.toFile(), "rw")) {
      file.setLength(file.length() / 2);
    }
    assertThat(ArchiveCacheProcess.checksum(get(weights(1)))).isEqualTo(checksum);
  }

  @Test
  void anArchiveWithOneWrongBitIsWrittenAnew() throws Exception {
    Path archive = get(weights(1));
    byte[] good = Files.readAllBytes(archive);
    // The four weights stand side by side in the last entry.
    int at = indexOf(good, new byte[] {0, 0, -128, 63, 0, 0, 0, 64});
    byte[] bad = good.clone();
    bad[at] ^= 1;
    Files.write(archive, bad);

    assertThat(get(weights(1))).isEqualTo(archive).hasBinaryContent(good);
  }

  private static int indexOf(byte[] all, byte[] part) {
    String text = new String(all, StandardCharsets.ISO_8859_1);
    int at = text.indexOf(new String(part, StandardCharsets.ISO_8859_1));
    assertThat(at).isPositive();
    return at;
  }

  @Test
  void aFailedWriteLeavesNothing() throws Exception {
    ParameterSource failing =
        (name, shape, out) -> {
          throw new IOException("the disk is full");
        };
    assertThatThrownBy(
            () ->
                cache.with(
                    "net", writer(Precision.FLOAT32, 2), weights(1)::digest, failing, path -> path))
        .isInstanceOf(UncheckedIOException.class)
        .hasMessageContainingAll(folder.toString(), "the disk is full", "enough room");
    assertThat(files()).isEmpty();
  }

  @Test
  void aFolderThatCanNotBeMadeIsOneClearError() throws Exception {
    Files.writeString(temp.resolve("file"), "not a folder");
    Path wrong = temp.resolve("file").resolve("archives");
    cache = ArchiveCache.in(wrong);

    assertThatThrownBy(() -> get(weights(1)))
        .isInstanceOf(UncheckedIOException.class)
        .hasMessageContainingAll(wrong.toString(), "folder", "may write to");
  }

  @Test
  void withoutAFolderNothingStays() {
    cache = ArchiveCache.none();
    Path archive = get(weights(1));
    assertThat(archive).doesNotExist();
    assertThat(archive.getParent()).doesNotExist();
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

    // It may be another process at work, so it stays for now; and the archive comes whole.
    long expected = ArchiveCacheProcess.get(ArchiveCache.in(temp.resolve("other")), 0);
    assertThat(ArchiveCacheProcess.get(cache, 0)).isEqualTo(expected);
    assertThat(left).exists();

    Files.setLastModifiedTime(left, FileTime.from(Instant.now().minus(Duration.ofHours(2))));
    ArchiveCacheProcess.get(cache, 1);
    assertThat(left).doesNotExist();
    assertThat(files()).hasSize(2);
  }

  @Test
  void threadsThatMissTheSameArchiveWriteItOnce() throws Exception {
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
  void processesThatRaceAllGetWholeArchives() throws Exception {
    List<String> expected = new ArrayList<>();
    ArchiveCache alone = ArchiveCache.in(temp.resolve("alone"));
    for (int i = 0; i < ArchiveCacheProcess.ARCHIVES; i++) {
      expected.add(String.valueOf(ArchiveCacheProcess.get(alone, i)));
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
        .hasSize(ArchiveCacheProcess.ARCHIVES)
        .allSatisfy(file -> assertThat(file.toString()).endsWith(".pt"));
  }

  /** An {@link ArchiveCacheProcess} that has started and waits. */
  private final class Child implements AutoCloseable {
    final Process process;
    private final BufferedReader output;

    Child(String mode) throws IOException {
      process =
          new ProcessBuilder(
                  Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                  "-cp",
                  System.getProperty("java.class.path"),
                  ArchiveCacheProcess.class.getName(),
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
