/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.serialization.SerializationSchema;

/**
 * A result as the value of a Kafka record, without the request that came along for the failure that
 * there would have to be if it did not fit, and without key and headers, which the record has
 * itself.
 */
@Internal
public final class ImageSerializer implements SerializationSchema<ImageEvent> {
  private static final long serialVersionUID = 1L;

  private final EventSerializer<ImageEvent> serializer;

  /**
   * @param topic that the values are for
   */
  public ImageSerializer(FormatSettings format, String topic) {
    this.serializer = new EventSerializer<>(ImageEvent.class, format, topic);
  }

  @Override
  public byte[] serialize(ImageEvent image) {
    return serializer.serialize(
        image.getOriginal() == null && image.getContext() == null ? image : without(image));
  }

  /** Shares all values, which a builder would copy. */
  private static ImageEvent without(ImageEvent image) {
    ImageEvent written = new ImageEvent();
    for (int i = 0; i < image.getSchema().getFields().size(); i++) {
      written.put(i, image.get(i));
    }
    written.setOriginal(null);
    written.setContext(null);
    return written;
  }
}
