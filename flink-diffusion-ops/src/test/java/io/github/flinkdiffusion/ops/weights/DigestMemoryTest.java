/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DigestMemoryTest {
  /** A digest that no file has, so that it tells that nothing was read. */
  private static final FileContent REMEMBERED =
      new FileContent("f".repeat(64), Optional.of(Set.of()));

  @TempDir private Path temp;

  private Path folder;
  private Path file;
  private DigestMemory memory;

  @BeforeEach
  void write() {
    folder = temp.resolve("digests");
    file = temp.resolve("model.safetensors");
    SafetensorsWriter.write(file, tensors(1));
    memory = new DigestMemory(folder, in(Duration.ofHours(1)));
  }

  private static Clock in(Duration later) {
    return Clock.offset(Clock.systemUTC(), later);
  }

  private static TensorStore tensors(float first) {
    return HeapTensors.builder().add("w", new float[] {first, 2, 3, 4}, 2, 2).build();
  }

  private static String read(Path file) throws IOException {
    return Sha256.hex(Files.readAllBytes(file));
  }

  private FileDigests anotherProcess() {
    FileDigests digests = new FileDigests();
    digests.rememberIn(memory);
    return digests;
  }

  private void remember() {
    memory.remember(file, DigestMemory.State.of(file).orElseThrow(), REMEMBERED);
  }

  private List<Path> records() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.toList();
    }
  }

  @Test
  void whatOneProcessHasReadTheNextDoesNotRead() throws Exception {
    assertThat(anotherProcess().digest(file)).isEqualTo(read(file));
    assertThat(records()).hasSize(1);

    remember();
    assertThat(anotherProcess().digest(file)).isEqualTo(REMEMBERED.digest());
    try (TensorStore store = Safetensors.open(file, anotherProcess())) {
      assertThat(store.isKnownFinite("w")).isTrue();
    }
    assertThat(records()).hasSize(1);
  }

  @Test
  void anotherFileUnderTheSameNameIsRead() throws Exception {
    remember();
    SafetensorsWriter.write(file, tensors(9));
    assertThat(anotherProcess().digest(file)).isEqualTo(read(file));
  }

  @Test
  void aFileThatIsWrittenInPlaceAndGivenItsOldTimeIsRead() throws Exception {
    FileTime time = Files.getLastModifiedTime(file);
    remember();
    byte[] content = Files.readAllBytes(file);
    content[content.length - 1] ^= 1;
    Files.write(file, content);
    Files.setLastModifiedTime(file, time);
    assertThat(anotherProcess().digest(file)).isEqualTo(read(file));
  }

  @Test
  void aCopyUnderAnotherNameIsRead() throws Exception {
    remember();
    Path copy = Files.copy(file, temp.resolve("copy.safetensors"));
    assertThat(anotherProcess().digest(copy)).isEqualTo(read(copy));
  }

  @Test
  void whatChangedAMomentAgoIsNotRemembered() {
    memory = new DigestMemory(folder, in(Duration.ZERO));
    anotherProcess().digest(file);
    assertThat(folder).doesNotExist();
  }

  @Test
  void weightsThatAreNotFiniteAreFoundAndNotRemembered() {
    SafetensorsWriter.write(
        file,
        HeapTensors.builder()
            .add("bad", new float[] {1, Float.NaN}, 2)
            .add("good", new float[] {1, 2}, 2)
            .build());
    try (TensorStore store = Safetensors.open(file, anotherProcess())) {
      assertThat(store.isKnownFinite("good")).isTrue();
      assertThat(store.isKnownFinite("bad")).isFalse();
    }
    assertThat(folder).doesNotExist();
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "file digest, version 1\n", "truncated", "another digest"})
  void aRecordThatIsDamagedDoesNotCount(String damage) throws Exception {
    remember();
    Path record = records().get(0);
    String good = Files.readString(record);
    Files.writeString(
        record,
        switch (damage) {
          case "truncated" -> good.substring(0, good.length() / 2);
          case "another digest" -> good.replace("ffff", "eeee");
          default -> damage;
        });
    assertThat(anotherProcess().digest(file)).isEqualTo(read(file));
    assertThat(anotherProcess().digest(file)).isEqualTo(read(file));
    assertThat(Files.readString(record)).contains(read(file));
  }

  @Test
  void aFolderThatCannotBeWrittenToCostsTheMemoryAlone() throws Exception {
    Files.writeString(folder, "not a folder");
    assertThat(anotherProcess().digest(file)).isEqualTo(read(file));
  }

  @Test
  void elementsAreLookedAtWhereverTheHeaderEndsAndChunksBegin() throws Exception {
    int count = (1 << 18) * 3 + 5;
    float[] values = new float[count];
    values[count - 1] = Float.POSITIVE_INFINITY;
    SafetensorsWriter.write(
        file, HeapTensors.builder().add("large", values, count).add("x", new float[1], 1).build());
    // An odd number of spaces after the header: elements then lie at odd places.
    byte[] whole = Files.readAllBytes(file);
    ByteBuffer bytes = ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN);
    int header = (int) bytes.getLong();
    try (FileChannel out =
        FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
      out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(header + 3).flip());
      out.write(ByteBuffer.wrap(whole, 8, header));
      out.write(ByteBuffer.wrap("   ".getBytes(StandardCharsets.US_ASCII)));
      out.write(ByteBuffer.wrap(whole, 8 + header, whole.length - 8 - header));
    }
    try (TensorStore store = Safetensors.open(file, anotherProcess())) {
      assertThat(store.isKnownFinite("x")).isTrue();
      assertThat(store.isKnownFinite("large")).isFalse();
      assertThat(anotherProcess().digest(file)).isEqualTo(read(file));
    }
  }
}
