package io.github.flinkdiffusion.connector.kafka.internal;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import java.nio.ByteBuffer;
import java.util.Map;
import org.junit.jupiter.api.Test;

class FailureSerializerTest {
  private static final int LIMIT = 64 << 10;

  private final FailureSerializer serializer = new FailureSerializer(LIMIT);

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
  void aFailureThatDoesNotFitLeavesItsOriginalOutAndSaysSo() throws Exception {
    FailureEvent failure = failure().setOriginal(ByteBuffer.allocate(LIMIT)).build();
    FailureEvent written = EventCodec.failures().decode(serializer.serialize(failure));
    assertThat(written.getOriginal().remaining()).isZero();
    assertThat(written.getMessage())
        .startsWith("steps is 0. (The original of 65536 bytes is left out")
        .contains("limit of 65536 bytes");
    assertThat(written.getOffset()).isEqualTo(17L);
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

  @Test
  void theKeyIsTheIdAndMissesWhereTheIdDoes() {
    assertThat(FailureSerializer.key(failure().build())).asString().isEqualTo("a");
    assertThat(FailureSerializer.key(failure().setId(null).build())).isNull();
  }
}
