/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadException.Kind;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.apache.flink.configuration.MemorySize;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Payloads that are encrypted where they are stored. */
class PayloadKeysTest {
  private static final int SEGMENT = 1 << 20;
  private static final String FIRST = "2026-a " + key(1);
  private static final String SECOND = "2026-b " + key(2);

  @TempDir private Path folder;

  private static String key(int seed) {
    byte[] key = new byte[32];
    new Random(seed).nextBytes(key);
    return Base64.getEncoder().encodeToString(key);
  }

  private static byte[] bytes(int length) {
    byte[] bytes = new byte[length];
    new Random(length).nextBytes(bytes);
    return bytes;
  }

  private PayloadStore store(String... lines) throws IOException {
    Path file = Files.createTempFile(folder, "keys", "");
    Files.write(file, List.of(lines));
    return storeOf(file.toString());
  }

  private PayloadStore storeOf(String keyFile) {
    return new PayloadStore(
        new PayloadSettings(
            folder.resolve("store").toUri().toString(),
            MemorySize.ZERO,
            List.of(),
            MemorySize.ofMebiBytes(16),
            true,
            keyFile));
  }

  private static Path stored(Payload payload) {
    return Path.of(
        Payloads.reference(payload).orElseThrow().getUri().replaceFirst("^file:/*", "/"));
  }

  /** A payload that names a file as it is now, as somebody would who changed both. */
  private static Payload naming(Path file, byte[] content) throws IOException {
    Files.write(file, content);
    return Payloads.stored(
        new PayloadReference("file:" + file, Payloads.sha256(content), (long) content.length), "");
  }

  private static void assertRefused(PayloadStore store, Payload payload, String... says) {
    assertThatThrownBy(() -> store.read(payload))
        .isInstanceOfSatisfying(
            PayloadException.class, e -> assertThat(e.kind()).isEqualTo(Kind.REFUSED))
        .hasMessageContainingAll(says);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 1000, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT})
  void whatIsStoredIsEncryptedAndReadsAsItWas(int length) throws Exception {
    byte[] plain = bytes(length);
    PayloadStore store = store(FIRST);
    Payload payload = store.write(plain, "image/png");
    assertThat(store.read(payload)).isEqualTo(plain);
    try (PayloadFile file = store.open(payload, folder)) {
      assertThat(file.path()).hasBinaryContent(plain);
    }
    assertThat(folder).isDirectoryNotContaining("glob:**payload-*");

    byte[] file = Files.readAllBytes(stored(payload));
    String latin = new String(file, StandardCharsets.ISO_8859_1);
    byte[] some = Arrays.copyOf(plain, Math.min(16, length));
    if (length >= 16) {
      assertThat(latin).doesNotContain(new String(some, StandardCharsets.ISO_8859_1));
    }
    assertThat(latin).startsWith("FLDFENC1").contains("2026-a");

    Path source = Files.write(folder.resolve("source"), plain);
    assertThat(store.write(source, "image/png")).as("the same from a file").isEqualTo(payload);
  }

  @Test
  void aReplayedRequestStoresTheSameFile() throws Exception {
    Payload first = store(FIRST).write(bytes(5000), "image/png");
    assertThat(store(FIRST).write(bytes(5000), "image/png")).isEqualTo(first);
    try (Stream<Path> files = Files.walk(folder.resolve("store"))) {
      assertThat(files.filter(Files::isRegularFile)).hasSize(1);
    }
    assertThat(store("2026-a " + key(7)).write(bytes(5000), "image/png"))
        .as("another key")
        .isNotEqualTo(first);
  }

  @Test
  void afterAChangeOfKeysOldPayloadsAreRead() throws Exception {
    Payload old = store(FIRST).write(bytes(5000), "");
    PayloadStore both = store("# new since May", SECOND, "", FIRST);
    assertThat(both.read(old)).isEqualTo(bytes(5000));
    assertThat(store(SECOND).read(both.write(bytes(100), ""))).isEqualTo(bytes(100));
  }

  @Test
  void withoutItsKeyAPayloadIsRefused() throws Exception {
    Payload payload = store(FIRST).write(bytes(5000), "");
    assertRefused(
        storeOf(null),
        payload,
        "is encrypted with the key '2026-a'",
        "set diffusion.payload.key-file");
    assertRefused(store(SECOND), payload, "with the key '2026-a'", "has 2026-b");
    PayloadStore wrong = store("2026-a " + key(3));
    assertRefused(wrong, payload, "cannot be decrypted with the key '2026-a'");
    assertThatThrownBy(() -> wrong.open(payload, folder))
        .hasMessageContaining("cannot be decrypted with the key '2026-a'");
    assertThat(folder).isDirectoryNotContaining("glob:**payload-*");
  }

  @Test
  void aChangedFileIsRefusedThoughItsReferenceFits() throws Exception {
    PayloadStore store = store(FIRST);
    Payload payload = store.write(bytes(2 * SEGMENT + 10), "");
    Path path = stored(payload);
    byte[] file = Files.readAllBytes(path);
    int header = file.length - (2 * SEGMENT + 10) - 3 * 16;

    byte[] oneBit = file.clone();
    oneBit[file.length / 2] ^= 1;
    assertRefused(store, naming(path, oneBit), "the file was changed");

    byte[] shortened = Arrays.copyOf(file, header + 2 * (SEGMENT + 16));
    assertRefused(store, naming(path, shortened), "the file was changed");

    byte[] swapped = file.clone();
    System.arraycopy(file, header, swapped, header + SEGMENT + 16, SEGMENT + 16);
    System.arraycopy(file, header + SEGMENT + 16, swapped, header, SEGMENT + 16);
    assertRefused(store, naming(path, swapped), "the file was changed");

    assertThatThrownBy(() -> store.read(naming(path, Arrays.copyOf(file, 20))))
        .hasMessageContaining("ends too early");
  }

  @Test
  void plainPayloadsAreStillRead() throws Exception {
    Payload plain = storeOf(null).write(bytes(5000), "");
    assertThat(store(FIRST).read(plain)).isEqualTo(bytes(5000));
  }

  @Test
  void filesOfWhichPartsCouldBeReadAreReadAsAWhole() throws Exception {
    assertThat(storeOf(null).readsByRanges()).isTrue();
    assertThat(store(FIRST).readsByRanges()).isFalse();
  }

  @Test
  void aFileThatHoldsNoKeysSaysSoWithoutShowingThem() {
    assertSettings("Line 2", "# comment", "2026-a c2hvcnQ=");
    assertSettings("Line 1", "justonepart");
    assertSettings("Line 2", FIRST, FIRST);
    assertSettings("holds no key", "# nothing");
    assertThatThrownBy(() -> storeOf("/nowhere/keys"))
        .hasMessageContainingAll("/nowhere/keys", "diffusion.payload.key-file");
  }

  private void assertSettings(String says, String... lines) {
    assertThatThrownBy(() -> store(lines))
        .isInstanceOfSatisfying(
            PayloadException.class, e -> assertThat(e.kind()).isEqualTo(Kind.SETTINGS))
        .hasMessageContaining(says)
        .message()
        .doesNotContain("c2hvcnQ=", key(1));
  }
}
