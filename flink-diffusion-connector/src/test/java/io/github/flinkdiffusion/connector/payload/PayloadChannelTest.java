/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadException.Kind;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.apache.flink.configuration.MemorySize;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PayloadChannelTest {
  private static final int LENGTH = 5000;

  @TempDir Path folder;

  private final byte[] bytes = new byte[LENGTH];
  private Path file;

  @BeforeEach
  void write() throws IOException {
    new Random(4).nextBytes(bytes);
    file = Files.write(folder.resolve("large"), bytes);
  }

  /** Accepts 100 bytes as a whole; ranges of any file. */
  private PayloadStore store() {
    return new PayloadStore(
        new PayloadSettings(
            null, MemorySize.ZERO, List.of("file:" + folder), new MemorySize(100), true));
  }

  private PayloadReference reference(String name, long length) {
    return new PayloadReference("file:" + folder.resolve(name), Payloads.sha256(bytes), length);
  }

  private static byte[] read(PayloadChannel channel, long at, ByteBuffer target)
      throws IOException {
    channel.position(at);
    while (target.hasRemaining() && channel.read(target) >= 0) {
      // as many reads as it takes
    }
    target.flip();
    byte[] read = new byte[target.remaining()];
    target.get(read);
    return read;
  }

  @Test
  void partsAreReadInAnyOrderAndNothingElseIs() throws IOException {
    try (PayloadChannel channel = store().openRanges(reference("large", LENGTH))) {
      assertThat(channel.size()).isEqualTo(LENGTH);
      assertThat(channel.bytesRead()).isZero();
      assertThat(read(channel, 4000, ByteBuffer.allocate(500)))
          .isEqualTo(Arrays.copyOfRange(bytes, 4000, 4500));
      assertThat(read(channel, 7, ByteBuffer.allocateDirect(20)))
          .isEqualTo(Arrays.copyOfRange(bytes, 7, 27));
      assertThat(read(channel, 4990, ByteBuffer.allocate(20)))
          .isEqualTo(Arrays.copyOfRange(bytes, 4990, LENGTH));
      assertThat(channel.bytesRead()).isEqualTo(530);
      assertThat(channel.read(ByteBuffer.allocate(1))).isEqualTo(-1);
    }
  }

  @Test
  void whatIsNotThereOrNotAsLongAsItShouldBeIsRefused() {
    for (Kind kind : List.of(Kind.MISSING, Kind.DAMAGED, Kind.REFUSED)) {
      PayloadReference reference =
          switch (kind) {
            case MISSING -> reference("other", LENGTH);
            case DAMAGED -> reference("large", LENGTH - 1);
            default ->
                new PayloadReference("file:/etc/passwd", Payloads.sha256(bytes), (long) LENGTH);
          };
      assertThatThrownBy(() -> store().openRanges(reference))
          .isInstanceOfSatisfying(
              PayloadException.class, e -> assertThat(e.kind()).isEqualTo(kind));
    }
  }

  @Test
  void aFileThatIsReplacedIsNoticedAndOneThatIsGoneIsMissing() throws IOException {
    try (PayloadChannel channel = store().openRanges(reference("large", LENGTH))) {
      channel.requireUnchanged();
      Files.write(file, new byte[LENGTH + 1]);
      assertThatThrownBy(channel::requireUnchanged)
          .isInstanceOfSatisfying(
              PayloadException.class, e -> assertThat(e.kind()).isEqualTo(Kind.DAMAGED))
          .hasMessageContaining("it had 5000 bytes, and has 5001");
      Files.delete(file);
      assertThatThrownBy(() -> channel.read(ByteBuffer.allocate(1)))
          .isInstanceOfSatisfying(
              PayloadException.class, e -> assertThat(e.kind()).isEqualTo(Kind.MISSING));
      Files.write(file, bytes);
      assertThat(read(channel, 0, ByteBuffer.allocate(9))).isEqualTo(Arrays.copyOf(bytes, 9));
    }
  }

  @Test
  void nothingIsReadOfOneThatIsClosed() {
    PayloadChannel channel = store().openRanges(reference("large", LENGTH));
    channel.close();
    channel.close();
    assertThat(channel.isOpen()).isFalse();
    assertThatThrownBy(() -> channel.read(ByteBuffer.allocate(1)))
        .isInstanceOf(ClosedChannelException.class);
  }
}
