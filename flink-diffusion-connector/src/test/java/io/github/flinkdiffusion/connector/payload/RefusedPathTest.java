/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureMessages;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadException.Kind;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.flink.configuration.MemorySize;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A path that the system refuses is final; a system that does not answer is not. */
class RefusedPathTest {
  private static final byte[] BYTES = {1, 2, 3};

  @TempDir Path folder;
  private Path allowed;

  @BeforeEach
  void makeFiles() throws IOException {
    allowed = Files.createDirectory(folder.resolve("allowed"));
    Files.write(allowed.resolve("ok.png"), BYTES);
    Files.createDirectory(allowed.resolve("folder"));
    Files.createSymbolicLink(allowed.resolve("loop"), allowed.resolve("loop"));
  }

  private PayloadException reading(String name) {
    PayloadStore store =
        new PayloadStore(
            new PayloadSettings(
                null,
                MemorySize.ofMebiBytes(1),
                List.of("file:" + allowed),
                MemorySize.ofMebiBytes(1)));
    Payload payload =
        Payloads.stored(
            new PayloadReference(
                "file:" + allowed + "/" + name, Payloads.sha256(BYTES), (long) BYTES.length),
            "");
    return catchThrowableOfType(PayloadException.class, () -> store.read(payload));
  }

  @ParameterizedTest
  @ValueSource(strings = {"ok.png/x", "ok.png/x/y", "folder", "loop", "LONG"})
  void aPathThatTheSystemRefusesIsFinal(String name) {
    PayloadException refused = reading(name.equals("LONG") ? "n".repeat(300) : name);
    assertThat(refused.kind()).isEqualTo(Kind.REFUSED);
    assertThat(refused.mayPass()).isFalse();
    assertThat(refused.getMessage()).doesNotContain("Exception").hasSizeLessThan(500);
  }

  @Test
  void aFileThatIsNotThereIsMissingAndAFolderThatIsNotThereMayComeBack() throws IOException {
    assertThat(reading("none").kind()).isEqualTo(Kind.MISSING);
    Files.move(allowed, folder.resolve("unmounted"));
    assertThat(reading("ok.png").kind()).isEqualTo(Kind.UNAVAILABLE);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "Not a directory",
        "File name too long",
        "Permission denied",
        "Too many levels of symbolic links or unable to access attributes of symbolic link"
      })
  void refusalsAreKnownByTheirText(String text) {
    assertKind(new FileSystemException("/secret/x", null, text), Kind.REFUSED);
    assertKind(new IOException("wrapped", new FileSystemException("/x", null, text)), Kind.REFUSED);
  }

  @ParameterizedTest
  @ValueSource(strings = {"Input/output error", "Too many open files", "No space left on device"})
  void troubleThatMayPassIsNoVerdictOnThePath(String text) {
    assertKind(new IOException(text), Kind.UNAVAILABLE);
    assertKind(new FileSystemException("/x", null, text), Kind.UNAVAILABLE);
    assertKind(new FileNotFoundException("/x (" + text + ")"), Kind.UNAVAILABLE);
  }

  private static void assertKind(IOException e, Kind kind) {
    FileTrouble trouble = FileTrouble.of(e);
    assertThat(trouble.kind()).isEqualTo(kind);
    assertThat(trouble.what()).doesNotContain("/secret");
  }

  /** {@link FailureMessages} hides what looks like a path, an example of one, too. */
  @Test
  void whatIsAcceptedInsteadOfAUriIsStillThereInAFailure() {
    for (String uri : List.of("", "a.png", "file://host/a.png")) {
      assertThatThrownBy(() -> Location.parse(uri))
          .isInstanceOfSatisfying(
              PayloadException.class,
              e ->
                  assertThat(
                          FailureMessages.safe(
                              e.getMessage(), new CancelEvent("the request's id", uri)))
                      .isEqualTo(e.getMessage()));
    }
  }
}
