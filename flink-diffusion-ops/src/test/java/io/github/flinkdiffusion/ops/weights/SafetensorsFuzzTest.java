/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;

/**
 * Files that nobody wrote on purpose: they open, and then every tensor can be read, or they are
 * refused with the file's name.
 */
class SafetensorsFuzzTest {
  private static final String HEADER =
      "{\"__metadata__\":{\"format\":\"pt\"},"
          + "\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
          + "\"b\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[16,24]}}";

  private static Path folder;

  /** One changed byte: where, and to what. */
  record Change(int at, byte value) {}

  @BeforeContainer
  static void makeFolder() throws IOException {
    folder = Files.createTempDirectory("safetensors-fuzz");
  }

  @AfterContainer
  static void deleteFolder() throws IOException {
    Files.deleteIfExists(folder.resolve("model.safetensors"));
    Files.delete(folder);
  }

  @Provide
  Arbitrary<List<Change>> changes() {
    Arbitrary<Integer> places = Arbitraries.integers().between(0, Long.BYTES + HEADER.length() - 1);
    // Digits, brackets and quotes make other valid headers; any byte makes broken ones.
    Arbitrary<Byte> values =
        Arbitraries.oneOf(
            Arbitraries.of('0', '9', '-', '[', ']', '{', '}', ',', ':', '"', 'e', '.')
                .map(c -> (byte) c.charValue()),
            Arbitraries.bytes());
    return Combinators.combine(places, values).as(Change::new).list().ofMinSize(1).ofMaxSize(6);
  }

  @Property(tries = 3000)
  void headersWithChangedBytes(@ForAll("changes") List<Change> changes) throws IOException {
    byte[] file = file(HEADER);
    changes.forEach(change -> file[change.at] = change.value);
    check(file);
  }

  @Property(tries = 500)
  void truncatedFiles(@ForAll @IntRange(max = 300) int length) throws IOException {
    byte[] file = file(HEADER);
    check(java.util.Arrays.copyOf(file, Math.min(length, file.length)));
  }

  @Property(tries = 500)
  void anyBytes(@ForAll byte[] bytes) throws IOException {
    check(bytes);
  }

  private static byte[] file(String header) {
    byte[] text = header.getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(Long.BYTES + text.length + 24)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(text.length)
        .put(text)
        .array();
  }

  private static void check(byte[] bytes) throws IOException {
    Path file = folder.resolve("model.safetensors");
    Files.write(file, bytes);
    try (Safetensors opened = Safetensors.open(file)) {
      long total = 0;
      for (String name : opened.names()) {
        TensorInfo info = opened.info(name);
        assertThat(opened.data(name).stream().mapToLong(ByteBuffer::remaining).sum())
            .isEqualTo(info.byteLength());
        total += info.byteLength();
      }
      assertThat(total).isLessThan(bytes.length);
    } catch (WeightsException refused) {
      assertThat(refused).hasMessageContaining(file.toString());
    }
  }
}
