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
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.util.InstantiationUtil;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class PayloadStoreTest {
  private static final int LIMIT = 100;
  private static final byte[] SMALL = bytes(LIMIT);
  private static final byte[] LARGE = bytes(LIMIT + 1);

  @TempDir Path folder;

  private Path storeFolder;
  private Path inputs;

  @BeforeEach
  void folders() throws IOException {
    storeFolder = folder.resolve("store");
    inputs = Files.createDirectories(folder.resolve("inputs"));
  }

  private static byte[] bytes(int length) {
    byte[] bytes = new byte[length];
    new Random(length).nextBytes(bytes);
    return bytes;
  }

  private PayloadSettings settings(String storeUri) {
    return new PayloadSettings(
        storeUri,
        new MemorySize(LIMIT),
        List.of(inputs.toUri().toString()),
        MemorySize.ofMebiBytes(1));
  }

  private PayloadStore store() {
    return new PayloadStore(settings(storeFolder.toUri().toString()));
  }

  private PayloadStore store(TestFileSystem fileSystem) {
    return store(fileSystem, Clock.systemUTC());
  }

  private PayloadStore store(TestFileSystem fileSystem, Clock clock) {
    return new PayloadStore(settings("remote://host" + storeFolder), uri -> fileSystem, clock);
  }

  private Path fileOf(byte[] bytes) {
    String digest = Payloads.sha256(bytes);
    return storeFolder.resolve(digest.substring(0, 2)).resolve(digest);
  }

  private static PayloadReference reference(Payload payload) {
    return Payloads.reference(payload).orElseThrow();
  }

  private static Payload named(Path file, byte[] bytes) {
    return Payloads.stored(
        new PayloadReference("file:" + file, Payloads.sha256(bytes), (long) bytes.length), "");
  }

  private static void assertFails(Callable<?> call, Kind kind, String... says) {
    assertThatThrownBy(call::call)
        .isInstanceOfSatisfying(PayloadException.class, e -> assertThat(e.kind()).isEqualTo(kind))
        .hasMessageContainingAll(says);
  }

  // ------------------------------------------------------------------ writing

  @Test
  void smallBytesTravelInTheEvent() {
    Payload payload = store().write(SMALL, "image/png");
    assertThat(payload).isEqualTo(Payloads.inline(SMALL, "image/png"));
    assertThat(store().read(payload)).isEqualTo(SMALL);
    assertThat(storeFolder).doesNotExist();
  }

  @Test
  void largerBytesAreStoredUnderTheirDigest() {
    Payload payload = store().write(LARGE, "image/png");
    assertThat(payload.getMediaType()).isEqualTo("image/png");
    assertThat(reference(payload))
        .isEqualTo(
            new PayloadReference(
                "file:" + fileOf(LARGE), Payloads.sha256(LARGE), (long) LARGE.length));
    assertThat(fileOf(LARGE)).hasBinaryContent(LARGE);
    assertThat(store().read(payload)).isEqualTo(LARGE);
  }

  @Test
  void withoutAStoreEverythingTravelsInTheEvent() {
    assertThat(new PayloadStore(settings(null)).write(LARGE, ""))
        .isEqualTo(Payloads.inline(LARGE, ""));
  }

  @Test
  void aFilesBytesAreThePayloadThatTheyWouldBeInMemory() throws IOException {
    for (byte[] bytes : List.of(SMALL, LARGE, bytes(200_000))) {
      Path file = Files.write(inputs.resolve("result.tif"), bytes);
      assertThat(store().write(file, "image/tiff")).isEqualTo(store().write(bytes, "image/tiff"));
      assertThat(store().read(store().write(file, "image/tiff"))).isEqualTo(bytes);
    }
    assertFails(
        () -> store().write(inputs.resolve("none"), ""), Kind.UNAVAILABLE, "Cannot store", "none");
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aReplayWritesNothing(boolean recoverable) {
    TestFileSystem fileSystem = new TestFileSystem();
    if (!recoverable) {
      fileSystem.withoutRecoverableWriter();
    }
    PayloadStore store = store(fileSystem);
    Payload first = store.write(LARGE, "");
    int calls = fileSystem.calls().size();
    assertThat(store.write(LARGE, "")).isEqualTo(first);
    assertThat(fileSystem.calls().subList(calls, fileSystem.calls().size()))
        .containsExactly("status");
    assertThat(store.read(first)).isEqualTo(LARGE);
  }

  @Test
  void aFileOfAnotherLengthIsReplaced() throws IOException {
    Files.createDirectories(fileOf(LARGE).getParent());
    Files.write(fileOf(LARGE), SMALL);
    assertThat(store().read(store().write(LARGE, ""))).isEqualTo(LARGE);
  }

  @Test
  void anOldPayloadIsMarkedWhenItIsUsedAgainSoThatNoCleanUpTakesItAway() throws IOException {
    TestFileSystem fileSystem = new TestFileSystem();
    Instant now = Instant.parse("2026-03-01T00:00:00Z");
    PayloadStore store = store(fileSystem, Clock.fixed(now, ZoneOffset.UTC));
    store.write(LARGE, "");
    Path mark = fileOf(LARGE).resolveSibling(Payloads.sha256(LARGE) + ".used");

    Files.setLastModifiedTime(
        fileOf(LARGE), FileTime.from(now.minus(PayloadStore.MARK_AFTER).plusSeconds(1)));
    store.write(LARGE, "");
    assertThat(mark).doesNotExist();

    Files.setLastModifiedTime(
        fileOf(LARGE), FileTime.from(now.minus(PayloadStore.MARK_AFTER).minusSeconds(1)));
    store.write(LARGE, "");
    assertThat(mark).exists();
    Files.setLastModifiedTime(mark, FileTime.from(now.minus(Duration.ofHours(1))));
    int calls = fileSystem.calls().size();
    store.write(LARGE, "");
    assertThat(fileSystem.calls().subList(calls, fileSystem.calls().size()))
        .containsExactly("status", "status");
  }

  @Test
  void manyWritersOfOneContentAreNoTroubleForEachOtherNorForReaders() throws Exception {
    byte[] bytes = bytes(1 << 20);
    ExecutorService pool = Executors.newFixedThreadPool(8);
    try {
      List<Callable<byte[]>> tasks =
          Stream.generate(
                  () ->
                      (Callable<byte[]>)
                          () -> {
                            Payload payload = store().write(bytes, "");
                            return store().read(payload);
                          })
              .limit(32)
              .toList();
      for (Future<byte[]> read : pool.invokeAll(tasks)) {
        assertThat(read.get()).isEqualTo(bytes);
      }
    } finally {
      pool.shutdownNow();
    }
    try (Stream<Path> files = Files.list(fileOf(bytes).getParent())) {
      assertThat(files).containsExactly(fileOf(bytes));
    }
  }

  // ------------------------------------------------------------------ faults

  @ParameterizedTest
  @EnumSource(TestFileSystem.Fault.class)
  void whereverWritingFailsNoPartIsEverVisibleAndTheNextAttemptSucceeds(TestFileSystem.Fault fault)
      throws IOException {
    for (boolean recoverable : new boolean[] {true, false}) {
      int call = 1;
      while (true) {
        Files.deleteIfExists(fileOf(LARGE));
        TestFileSystem fileSystem = new TestFileSystem().failAt(call, fault);
        if (!recoverable) {
          fileSystem.withoutRecoverableWriter();
        }
        boolean written = false;
        try {
          store(fileSystem).write(LARGE, "");
          written = true;
        } catch (PayloadException e) {
          assertThat(e.mayPass()).isTrue();
          assertThat(e).hasMessageContaining("Cannot store a payload of 101 bytes as remote://");
        }
        if (written || Files.exists(fileOf(LARGE))) {
          assertThat(fileOf(LARGE)).hasBinaryContent(LARGE);
        }
        if (!fileSystem.hasFailed()) {
          break;
        }
        assertThat(store().read(store().write(LARGE, ""))).isEqualTo(LARGE);
        call++;
      }
      assertThat(call).as("every call of a write was let fail").isGreaterThan(5);
    }
  }

  @Test
  void aWriterThatFailedDeletesItsTemporaryFile() throws IOException {
    TestFileSystem fileSystem =
        new TestFileSystem().withoutRecoverableWriter().failAt(3, TestFileSystem.Fault.HALF_WAY);
    assertFails(() -> store(fileSystem).write(LARGE, ""), Kind.UNAVAILABLE, "induced");
    assertThat(fileSystem.calls()).containsSubsequence("create", "write", "close", "delete");
    try (Stream<Path> files = Files.list(fileOf(LARGE).getParent())) {
      assertThat(files).isEmpty();
    }
  }

  @Test
  void readsThatComeInPiecesAreRead() {
    Payload payload = store(new TestFileSystem()).write(LARGE, "");
    assertThat(
            store(new TestFileSystem().reading(TestFileSystem.Reading.ONE_BYTE_AT_A_TIME))
                .read(payload))
        .isEqualTo(LARGE);
  }

  @Test
  void readsThatEndEarlyOrChangeABitAreNoticed() {
    Payload payload = store(new TestFileSystem()).write(LARGE, "");
    PayloadStore early = store(new TestFileSystem().reading(TestFileSystem.Reading.ENDS_EARLY));
    assertFails(() -> early.read(payload), Kind.DAMAGED, "ended after 1 bytes", "101 bytes");
    assertFails(() -> early.open(payload, folder), Kind.DAMAGED, "ended after 1 bytes");
    PayloadStore changed =
        store(new TestFileSystem().reading(TestFileSystem.Reading.A_BYTE_CHANGED));
    assertFails(() -> changed.read(payload), Kind.DAMAGED, "has the SHA-256", "the event says");
    assertFails(() -> changed.open(payload, folder), Kind.DAMAGED, "has the SHA-256");
  }

  @Test
  void whereverReadingFailsItIsSaidAndNoCopyIsLeft() throws IOException {
    Payload payload = store(new TestFileSystem()).write(LARGE, "");
    Path scratch = Files.createDirectories(folder.resolve("scratch"));
    for (int call = 1; call <= 3; call++) {
      int n = call;
      assertFails(
          () -> store(new TestFileSystem().failAt(n, TestFileSystem.Fault.BEFORE)).read(payload),
          Kind.UNAVAILABLE,
          "Cannot read payload remote://",
          "induced");
      assertFails(
          () ->
              store(new TestFileSystem().failAt(n, TestFileSystem.Fault.BEFORE))
                  .open(payload, scratch),
          Kind.UNAVAILABLE,
          "induced");
      assertThat(scratch).isEmptyDirectory();
    }
  }

  // ------------------------------------------------------------------ reading

  @Test
  void aFileBelowAnAllowedPrefixIsRead() throws IOException {
    Path file = Files.write(inputs.resolve("scan 1.tif"), LARGE);
    assertThat(store().read(named(file, LARGE))).isEqualTo(LARGE);
  }

  @Test
  void whatIsNotAsTheEventDescribesIsRefused() throws IOException {
    Path file = Files.write(inputs.resolve("scan.tif"), LARGE);
    assertFails(() -> store().read(named(file, SMALL)), Kind.DAMAGED, "has 101 bytes", "100 bytes");
    byte[] other = LARGE.clone();
    other[0]++;
    assertFails(() -> store().read(named(file, other)), Kind.DAMAGED, "has the SHA-256");
    assertFails(
        () -> store().read(named(inputs.resolve("none"), LARGE)), Kind.MISSING, "no such file");
    assertFails(() -> store().read(named(inputs, LARGE)), Kind.REFUSED, "not below");
    Path inner = Files.createDirectories(inputs.resolve("inner"));
    assertFails(() -> store().read(named(inner, LARGE)), Kind.REFUSED, "it is not a file");
  }

  @Test
  void whatIsOutsideOfThePrefixesIsRefused() throws IOException {
    Path file = Files.write(folder.resolve("secret"), LARGE);
    assertFails(
        () -> store().read(named(file, LARGE)),
        Kind.REFUSED,
        "is not below the folders that this job may read",
        "diffusion.payload.allowed-prefixes");
    PayloadStore nothing =
        new PayloadStore(
            new PayloadSettings(null, MemorySize.ZERO, List.of(), MemorySize.ofMebiBytes(1)));
    assertFails(() -> nothing.read(named(file, LARGE)), Kind.REFUSED, "may not read files");
  }

  @Test
  void aLengthBeyondTheLimitIsRefusedBeforeAnythingIsAllocated() {
    for (long length : new long[] {(1 << 20) + 1, Long.MAX_VALUE, -1}) {
      Payload payload =
          Payloads.stored(
              new PayloadReference("file:" + inputs + "/a", Payloads.sha256(LARGE), length), "");
      assertFails(() -> store().open(payload, folder), Kind.REFUSED, "has " + length + " bytes");
      assertThatThrownBy(() -> store().read(payload)).isInstanceOf(PayloadException.class);
    }
    Payload inline = Payloads.inline(bytes((1 << 20) + 1), "");
    assertFails(() -> store().read(inline), Kind.REFUSED, "diffusion.payload.max-size");
  }

  @Test
  void aDigestThatIsNoneIsRefused() {
    Payload payload =
        Payloads.stored(new PayloadReference("file:" + inputs + "/a", "../../etc/passwd", 1L), "");
    assertFails(() -> store().read(payload), Kind.REFUSED, "64 lower-case hexadecimal digits");
  }

  // ------------------------------------------------------------------ as a file

  @Test
  void aLocalPayloadIsOpenedWhereItIs() throws IOException {
    Payload payload = store().write(LARGE, "");
    try (PayloadFile file = store().open(payload, folder)) {
      assertThat(file.path()).isEqualTo(fileOf(LARGE).toRealPath());
    }
    assertThat(fileOf(LARGE)).exists();
  }

  @Test
  void otherPayloadsAreCopiedAndTheCopyGoesWithTheFile() throws IOException {
    Path scratch = Files.createDirectories(folder.resolve("scratch"));
    PayloadStore store = store(new TestFileSystem());
    for (byte[] bytes : List.of(SMALL, LARGE)) {
      try (PayloadFile file = store.open(store.write(bytes, ""), scratch)) {
        assertThat(file.path()).hasParent(scratch).hasBinaryContent(bytes);
      }
      assertThat(scratch).isEmptyDirectory();
    }
  }

  // ------------------------------------------------------------------ settings

  @Test
  void settingsComeFromTheConfigurationAndTravelToTasks() throws Exception {
    Configuration configuration = new Configuration();
    configuration.setString("diffusion.payload.store", "s3://bucket/payloads/");
    configuration.setString("diffusion.payload.inline-limit", "64kb");
    configuration.setString("diffusion.payload.allowed-prefixes", "s3://scans;hdfs://nn/in");
    configuration.setString("diffusion.payload.max-size", "1gb");
    PayloadSettings settings = PayloadSettings.of(configuration);
    assertThat(settings)
        .isEqualTo(
            new PayloadSettings(
                "s3://bucket/payloads/",
                MemorySize.parse("64kb"),
                List.of("s3://scans", "hdfs://nn/in"),
                MemorySize.parse("1gb")));
    assertThat(InstantiationUtil.clone(settings)).isEqualTo(settings);
    assertThat(PayloadSettings.of(new Configuration()))
        .isEqualTo(
            new PayloadSettings(
                null, MemorySize.ofMebiBytes(1), List.of(), MemorySize.ofMebiBytes(512)));
  }

  @Test
  void settingsThatAreNoFoldersAreRefusedByTheirName() {
    assertFails(() -> settings("/payloads"), Kind.SETTINGS, "diffusion.payload.store", "absolute");
    Configuration configuration = new Configuration();
    configuration.setString("diffusion.payload.allowed-prefixes", "s3://b/a/../c");
    assertFails(
        () -> PayloadSettings.of(configuration),
        Kind.SETTINGS,
        "diffusion.payload.allowed-prefixes",
        "'..'");
  }
}
