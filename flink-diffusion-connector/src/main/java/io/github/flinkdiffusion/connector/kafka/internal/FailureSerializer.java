package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import java.nio.ByteBuffer;
import java.util.Map;
import org.apache.flink.api.common.serialization.SerializationSchema;

/**
 * A failure as the value of a Kafka record, always small enough to be written.
 *
 * <p>A failure holds the record it is about and some words more, so a record that only just went
 * through Kafka would not go through again. The job would fail on it, at every attempt, because of
 * one bad record. Instead the parts that can be found elsewhere are left out, the largest first,
 * and the message says so.
 */
public final class FailureSerializer implements SerializationSchema<FailureEvent> {
  private static final long serialVersionUID = 1L;

  private final int maxRecordBytes;

  public FailureSerializer(int maxRecordBytes) {
    this.maxRecordBytes = maxRecordBytes;
  }

  @Override
  public byte[] serialize(FailureEvent failure) {
    EventCodec<FailureEvent> codec = EventCodec.failures();
    byte[] bytes = codec.encode(failure);
    if (fits(failure, bytes)) {
      return bytes;
    }
    FailureEvent withoutOriginal =
        FailureEvent.newBuilder(failure)
            .setOriginal(ByteBuffer.allocate(0))
            .setMessage(
                failure.getMessage()
                    + " (The original of %d bytes is left out: with it this record would exceed the limit of %d bytes.)"
                        .formatted(failure.getOriginal().remaining(), maxRecordBytes))
            .build();
    bytes = codec.encode(withoutOriginal);
    if (fits(withoutOriginal, bytes)) {
      return bytes;
    }
    return codec.encode(
        FailureEvent.newBuilder(withoutOriginal)
            .setAttributes(Map.of())
            .setMessage(
                TooLarge.shortened(failure.getMessage())
                    + " (Original and attributes are left out: with them this record would exceed the limit of %d bytes.)"
                        .formatted(maxRecordBytes))
            .setId(keyText(failure))
            .build());
  }

  private boolean fits(FailureEvent failure, byte[] value) {
    return RecordSize.of(key(failure), value) <= maxRecordBytes;
  }

  /**
   * The failure's key: its id, no longer than ids may be; null, hence any partition, without one.
   */
  public static byte[] key(FailureEvent failure) {
    return Keys.utf8(keyText(failure));
  }

  private static String keyText(FailureEvent failure) {
    return failure.getId() == null ? null : TooLarge.shortened(failure.getId());
  }
}
