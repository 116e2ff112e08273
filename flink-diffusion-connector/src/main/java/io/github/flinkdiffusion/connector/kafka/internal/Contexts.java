/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.kafka.EventHeaders;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;

/** Key and chosen headers on their way from a request's record to those of what it becomes. */
final class Contexts {
  /**
   * Most bytes of key and headers together: a failure has them twice, once in base64, and must
   * still fit into the smallest record that a sink may be set to.
   */
  static final int MAX_BYTES = 8 << 10;

  /** Carried whatever is chosen: without them a request could not be sent again as itself. */
  private static final List<String> ALWAYS = List.of(EventHeaders.ID, EventHeaders.RESENT);

  private Contexts() {}

  /** The headers to carry. */
  static List<String> withOwn(List<String> chosen) {
    List<String> all = new ArrayList<>(chosen);
    ALWAYS.stream().filter(name -> !chosen.contains(name)).forEach(all::add);
    return List.copyOf(all);
  }

  /**
   * Key and headers of a record, null when it has neither.
   *
   * @throws UndecodableEventException when they are too large to travel
   */
  static RecordContext of(ConsumerRecord<byte[], byte[]> record, List<String> names)
      throws UndecodableEventException {
    Map<String, ByteBuffer> headers = new TreeMap<>();
    for (String name : names) {
      Header header = record.headers().lastHeader(name);
      if (header != null && header.value() != null) {
        headers.put(name, ByteBuffer.wrap(header.value()));
      }
    }
    if (record.key() == null && headers.isEmpty()) {
      return null;
    }
    RecordContext context =
        new RecordContext(record.key() == null ? null : ByteBuffer.wrap(record.key()), headers);
    long bytes = bytes(context);
    if (bytes > MAX_BYTES) {
      throw new UndecodableEventException(
          ("Its key and the headers %s have %d bytes; a request carries at most %d. Shorten them,"
                  + " or choose fewer with diffusion.kafka.headers.")
              .formatted(headers.keySet(), bytes, MAX_BYTES));
    }
    return context;
  }

  /** Of any event; null without one. */
  static RecordContext of(Object event) {
    if (event instanceof ImageEvent image) {
      return image.getContext();
    } else if (event instanceof TextEvent text) {
      return text.getContext();
    } else if (event instanceof FailureEvent failure) {
      return failure.getContext();
    } else if (event instanceof PromptEvent prompt) {
      return prompt.getContext();
    } else if (event instanceof ImageTaskEvent task) {
      return task.getContext();
    }
    return null;
  }

  /** Gives an event what its record had; a failure that has something of its own keeps it. */
  static void set(Object event, RecordContext context) {
    if (event instanceof ImageEvent image) {
      image.setContext(context);
    } else if (event instanceof TextEvent text) {
      text.setContext(context);
    } else if (event instanceof FailureEvent failure) {
      if (failure.getContext() == null) {
        failure.setContext(context);
      }
    } else if (event instanceof PromptEvent prompt) {
      prompt.setContext(context);
    } else if (event instanceof ImageTaskEvent task) {
      task.setContext(context);
    }
  }

  /** Gives an event another context, whatever it had. */
  static void replace(Object event, RecordContext context) {
    if (event instanceof FailureEvent failure) {
      failure.setContext(context);
    } else {
      set(event, context);
    }
  }

  /** How much a record gets by it. */
  static long bytes(RecordContext context) {
    if (context == null) {
      return 0;
    }
    long bytes = context.getKey() == null ? 0 : context.getKey().remaining();
    for (Map.Entry<String, ByteBuffer> header : context.getHeaders().entrySet()) {
      bytes += header.getKey().length() + header.getValue().remaining();
    }
    return bytes;
  }

  /** The key of a request's record, null without one. */
  static byte[] key(RecordContext context) {
    return context == null || context.getKey() == null ? null : copy(context.getKey());
  }

  /** A header as text, null without one. */
  static String text(RecordContext context, String name) {
    ByteBuffer value = context == null ? null : context.getHeaders().get(name);
    return value == null ? null : new String(copy(value), UTF_8);
  }

  static byte[] copy(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return bytes;
  }
}
