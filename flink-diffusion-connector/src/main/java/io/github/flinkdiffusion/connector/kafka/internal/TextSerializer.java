/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.serialization.SerializationSchema;

/** Texts as a topic holds them: without the request, and without what goes into the record. */
@Internal
public final class TextSerializer implements SerializationSchema<TextEvent> {
  private static final long serialVersionUID = 1L;

  private final EventSerializer<TextEvent> serializer;

  /**
   * @param topic that the values are for
   */
  public TextSerializer(FormatSettings format, String topic) {
    this.serializer = new EventSerializer<>(TextEvent.class, format, topic);
  }

  @Override
  public void open(InitializationContext context) throws Exception {
    serializer.open(context);
  }

  @Override
  public byte[] serialize(TextEvent text) {
    if (text.getOriginal() == null && text.getContext() == null) {
      return serializer.serialize(text);
    }
    TextEvent written = new TextEvent();
    for (int i = 0; i < text.getSchema().getFields().size(); i++) {
      written.put(i, text.get(i));
    }
    written.setOriginal(null);
    written.setContext(null);
    return serializer.serialize(written);
  }
}
