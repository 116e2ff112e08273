/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureMessages;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.Originals;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class FailureSerializerTest {
  private static final int LIMIT = 64 << 10;

  private final FailureSerializer serializer =
      new FailureSerializer(LIMIT, FormatSettings.AVRO, "failures");

  private static FailureEvent.Builder failure() {
    return FailureEvent.newBuilder()
        .setId("a")
        .setReason(FailureReason.INVALID_REQUEST)
        .setMessage("steps is 0.")
        .setTopic("prompts")
        .setPartition(0)
        .setOffset(17L);
  }

  @Test
  void aFailureThatFitsIsWrittenAsItIs() throws Exception {
    FailureEvent failure = failure().setOriginal(ByteBuffer.allocate(60_000)).build();
    assertThat(EventCodec.failures().decode(serializer.serialize(failure))).isEqualTo(failure);
  }

  @Test
  void theOriginalOfAFailureThatDoesNotFitIsTruncatedWithItsSizeAndDigest() throws Exception {
    byte[] original = new byte[20 << 20];
    new Random(1).nextBytes(original);
    for (int length : new int[] {LIMIT - 1060, LIMIT, original.length}) {
      byte[] record = Arrays.copyOf(original, length);
      byte[] bytes = serializer.serialize(failure().setOriginal(ByteBuffer.wrap(record)).build());
      FailureEvent written = EventCodec.failures().decode(bytes);

      assertThat(bytes.length).isBetween(LIMIT - 2048, LIMIT - 1024);
      assertThat(written.getOriginal())
          .isEqualTo(ByteBuffer.wrap(record, 0, written.getOriginal().remaining()));
      assertThat(written.getOriginalSize()).isEqualTo(length);
      assertThat(written.getOriginalSha256()).isEqualTo(Payloads.sha256(record));
      assertThat(written.getMessage())
          .startsWith("steps is 0. (The original is truncated")
          .contains("limit of 65536 bytes");
      assertThat(written.getOffset()).isEqualTo(17L);
    }
  }

  @Test
  void sizeAndDigestStayThoseOfTheRecordWhenATruncatedOriginalIsTruncatedAgain() throws Exception {
    byte[] record = new byte[10 * LIMIT];
    FailureEvent failure = Originals.set(failure(), record, 2 * LIMIT).build();
    FailureEvent written = EventCodec.failures().decode(serializer.serialize(failure));
    assertThat(written.getOriginal().remaining()).isLessThan(LIMIT);
    assertThat(written.getOriginalSize()).isEqualTo(record.length);
    assertThat(written.getOriginalSha256()).isEqualTo(Payloads.sha256(record));
  }

  @Test
  void aFailureFitsHoweverLargeItsOtherPartsAre() throws Exception {
    String large = "灯".repeat(LIMIT);
    FailureEvent failure =
        failure().setId(large).setMessage(large).setAttributes(Map.of("k", large)).build();
    byte[] bytes = serializer.serialize(failure);
    assertThat(bytes.length + FailureSerializer.key(failure).length).isLessThan(LIMIT - 1024);
    FailureEvent written = EventCodec.failures().decode(bytes);
    assertThat(written.getId()).hasSize(512).startsWith("灯").endsWith("…");
    assertThat(written.getMessage()).contains("Original and attributes are left out");
    assertThat(written.getAttributes()).isEmpty();
  }

  /** A failure that some other operator made, of a stack trace, is bounded and hides paths. */
  @Test
  void theNoteIsAddedToAMessageOfOneBoundedLineThatNamesNoPathOfTheServer() throws Exception {
    String sent = "/data/in/scan.tif";
    byte[] original = Arrays.copyOf(("{\"reference\": \"" + sent + "\"}").getBytes(UTF_8), LIMIT);
    String message = "Reading " + sent + " into /tmp/scratch-17/part failed:\n" + "x".repeat(5_000);
    Map<String, String> attributes = Map.of("k", "v".repeat(LIMIT));
    for (FailureEvent failure :
        List.of(
            failure().setMessage(message).setOriginal(ByteBuffer.wrap(original)).build(),
            failure()
                .setMessage(message)
                .setOriginal(ByteBuffer.wrap(original))
                .setAttributes(attributes)
                .build())) {
      String written = EventCodec.failures().decode(serializer.serialize(failure)).getMessage();
      assertThat(written)
          .hasSizeLessThanOrEqualTo(FailureMessages.MAX_CHARS)
          .startsWith("Reading " + sent + " into (a path on the server) failed: xxx")
          .endsWith("record would exceed the limit of 65536 bytes.)")
          .doesNotContain("\n");
    }
  }

  @Test
  void theKeyIsTheIdAndMissesWhereTheIdDoes() {
    assertThat(FailureSerializer.key(failure().build())).asString().isEqualTo("a");
    assertThat(FailureSerializer.key(failure().setId(null).build())).isNull();
  }
}
