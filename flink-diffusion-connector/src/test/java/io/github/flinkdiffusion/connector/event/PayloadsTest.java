/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.event;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.util.Base64;
import org.junit.jupiter.api.Test;

class PayloadsTest {
  private static final byte[] BYTES = {1, 2, 3};
  private static final String DIGEST =
      "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81";
  private static final PayloadReference FIRST = new PayloadReference("s3://b/1", DIGEST, 3L);
  private static final PayloadReference SECOND = new PayloadReference("s3://b/2", DIGEST, 3L);

  @Test
  void aPayloadIsEitherBytesOrAReference() {
    Payload inline = Payloads.inline(BYTES, "image/png");
    assertThat(Payloads.inlineBytes(inline)).contains(BYTES);
    assertThat(Payloads.reference(inline)).isEmpty();
    Payload stored = Payloads.stored(FIRST, "image/png");
    assertThat(Payloads.inlineBytes(stored)).isEmpty();
    assertThat(Payloads.reference(stored)).contains(FIRST);
  }

  @Test
  void aResultsPictureComesBackWhereverItIs() {
    for (Payload picture :
        new Payload[] {
          Payloads.inline(BYTES, "image/tiff"), Payloads.stored(FIRST, "image/tiff")
        }) {
      ImageEvent event =
          Payloads.setPicture(ImageEvent.newBuilder(), picture)
              .setId("a")
              .setWidth(1)
              .setHeight(1)
              .build();
      assertThat(Payloads.image(event)).isEqualTo(picture);
      assertThat(event.getDigest()).isEqualTo(DIGEST);
    }
  }

  @Test
  void allFilesThatAResultNamesAreFound() {
    ImageEvent event =
        Payloads.setPicture(ImageEvent.newBuilder(), Payloads.stored(FIRST, ""))
            .setId("a")
            .setWidth(1)
            .setHeight(1)
            .setMask(Payloads.inline(BYTES, ""))
            .setUncertainty(Payloads.stored(SECOND, ""))
            .build();
    assertThat(Payloads.references(event)).containsExactly(FIRST, SECOND);
  }

  @Test
  void aFailureNamesWhatItsRequestNamesSinceThatCanBeSentAgain() {
    ImageTaskEvent request =
        ImageTaskEvent.newBuilder().setId("a").setImage(Payloads.stored(FIRST, "")).build();
    FailureEvent failure =
        FailureEvent.newBuilder()
            .setReason(FailureReason.PAYLOAD)
            .setMessage("no")
            .setOriginal(ByteBuffer.wrap(EventCodec.imageTasks().encode(request)))
            .build();
    assertThat(Payloads.references(failure)).containsExactly(FIRST);
    failure.setOriginal(ByteBuffer.wrap(BYTES));
    assertThat(Payloads.references(failure)).isEmpty();
  }

  @Test
  void whatAnEventInJsonNamesIsFoundToo() throws Exception {
    String reference =
        "{\"uri\": \"s3://scenes/1f\", \"sha256\": \"%s\", \"length\": 17}"
            .formatted("0".repeat(64));
    byte[] task = "{\"image\": {\"content\": %s}}".formatted(reference).getBytes(UTF_8);
    PayloadReference expected = new PayloadReference("s3://scenes/1f", "0".repeat(64), 17L);
    assertThat(Payloads.references(task)).containsExactly(expected);
    byte[] framed = new byte[5 + task.length];
    System.arraycopy(task, 0, framed, 5, task.length);
    assertThat(Payloads.references(framed)).containsExactly(expected);
    FailureEvent failure =
        FailureEvent.newBuilder()
            .setMessage("m")
            .setReason(FailureReason.TIMEOUT)
            .setOriginal(ByteBuffer.wrap(task))
            .build();
    assertThat(Payloads.references(failure)).containsExactly(expected);
    byte[] json =
        "{\"reason\": \"TIMEOUT\", \"original\": \"%s\"}"
            .formatted(Base64.getEncoder().encodeToString(task))
            .getBytes(UTF_8);
    assertThat(Payloads.references(json)).containsExactly(expected);
    assertThatThrownBy(() -> Payloads.references("a red fox".getBytes(UTF_8)))
        .isInstanceOf(UndecodableEventException.class);
  }
}
