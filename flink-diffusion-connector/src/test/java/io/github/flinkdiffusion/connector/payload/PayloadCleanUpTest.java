/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadCleanUp.Amount;
import io.github.flinkdiffusion.connector.payload.PayloadCleanUp.Deleted;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.apache.flink.configuration.MemorySize;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PayloadCleanUpTest {
  private static final Duration WEEK = Duration.ofDays(7);

  @TempDir Path folder;

  private PayloadStore store;

  @BeforeEach
  void store() {
    store =
        new PayloadStore(
            new PayloadSettings(
                folder.toUri().toString(), MemorySize.ZERO, List.of(), MemorySize.ofMebiBytes(1)));
  }

  private PayloadReference written(String text, Duration ago) throws IOException {
    PayloadReference reference = Payloads.reference(store.write(text.getBytes(), "")).orElseThrow();
    age(file(reference), ago);
    return reference;
  }

  private static Path file(PayloadReference reference) {
    return Path.of(reference.getUri().substring("file:".length()));
  }

  private static void age(Path file, Duration ago) throws IOException {
    Files.setLastModifiedTime(file, FileTime.from(Instant.now().minus(ago)));
  }

  private PayloadCleanUp list() {
    return PayloadCleanUp.list(folder.toUri().toString(), WEEK, done -> {});
  }

  @Test
  void onlyWhatIsOldAndWhatNoEventNamesIsDeleted() throws IOException {
    PayloadReference orphan = written("orphan", Duration.ofDays(8));
    PayloadReference named = written("named", Duration.ofDays(8));
    PayloadReference young = written("young", Duration.ofDays(6));
    Path foreign = Files.writeString(folder.resolve("README"), "not ours");
    age(foreign, Duration.ofDays(100));

    PayloadCleanUp cleanUp = list();
    cleanUp.keep(new PayloadReference("s3://by/another/name", named.getSha256(), 5L));
    assertThat(cleanUp.young()).isEqualTo(1);
    assertThat(cleanUp.named()).isEqualTo(new Amount(1, 5));
    Deleted expected = new Deleted(new Amount(1, 6), Amount.NONE);
    assertThat(cleanUp.wouldDelete()).isEqualTo(expected);
    assertThat(file(orphan)).as("nothing is deleted unasked").exists();

    assertThat(cleanUp.delete(done -> {})).isEqualTo(expected);
    assertThat(file(orphan)).doesNotExist();
    assertThat(List.of(file(named), file(young), foreign)).allMatch(Files::exists);
  }

  @Test
  void anOldPayloadThatIsUsedAgainStaysEvenAfterItWasListed() throws IOException {
    PayloadReference before = written("used before", Duration.ofDays(8));
    PayloadReference after = written("used after", Duration.ofDays(8));
    store.write("used before".getBytes(), "");
    PayloadCleanUp cleanUp = list();
    assertThat(cleanUp.young()).isEqualTo(1);
    store.write("used after".getBytes(), "");
    assertThat(cleanUp.delete(done -> {})).isEqualTo(new Deleted(Amount.NONE, Amount.NONE));
    assertThat(List.of(file(before), file(after))).allMatch(Files::exists);
  }

  @Test
  void anOldMarkGoesWithItsPayload() throws IOException {
    PayloadReference reference = written("old", Duration.ofDays(30));
    store.write("old".getBytes(), "");
    Path mark = file(reference).resolveSibling(reference.getSha256() + ".used");
    age(mark, Duration.ofDays(8));
    assertThat(list().delete(done -> {}).payloads()).isEqualTo(new Amount(1, 3));
    assertThat(file(reference).getParent()).isEmptyDirectory();
  }

  @Test
  void whatDeadWritersHaveLeftIsDeletedWhenItIsOld() throws IOException {
    PayloadReference reference = written("a", Duration.ZERO);
    String name = "." + reference.getSha256() + ".inprogress.";
    Path old = Files.writeString(file(reference).resolveSibling(name + "1"), "half");
    Path young = Files.writeString(file(reference).resolveSibling(name + "2"), "half");
    age(old, Duration.ofDays(8));
    assertThat(list().delete(done -> {})).isEqualTo(new Deleted(Amount.NONE, new Amount(1, 4)));
    assertThat(old).doesNotExist();
    assertThat(young).exists();
  }

  @Test
  void anAgeThatIsTooShortIsRefused() {
    assertThatThrownBy(
            () -> PayloadCleanUp.list("file:" + folder, Duration.ofHours(47), done -> {}))
        .isInstanceOf(PayloadException.class)
        .hasMessageContaining("48 hours old or older, not 47");
  }

  @Test
  void aStoreThatIsNotThereIsAnErrorAndNotAnEmptyOne() {
    assertThatThrownBy(() -> PayloadCleanUp.list("file:" + folder + "/none", WEEK, done -> {}))
        .isInstanceOf(PayloadException.class)
        .hasMessageContaining("Cannot list the store");
  }
}
