/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import java.lang.reflect.Field;
import java.lang.reflect.InaccessibleObjectException;
import java.lang.reflect.Modifier;
import java.time.Duration;
import org.apache.kafka.clients.admin.Admin;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Closes what Flink's writer leaves open. The exactly-once writer of flink-connector-kafka 5.0.0
 * creates an admin client, to look for transactions that an earlier attempt left open, and its
 * {@code close()} does not close it: each attempt would leave a thread and its connections behind.
 * Nothing public leads to the client, so it is looked for by its type; a writer that has none, or
 * has closed it, is left as it is.
 */
final class WriterClients {
  private static final Logger LOG = LoggerFactory.getLogger(WriterClients.class);

  private WriterClients() {}

  static void close(Object writer) {
    for (Class<?> type = writer.getClass(); type != null; type = type.getSuperclass()) {
      for (Field field : type.getDeclaredFields()) {
        if (Admin.class.isAssignableFrom(field.getType())
            && !Modifier.isStatic(field.getModifiers())) {
          close(writer, field);
        }
      }
    }
  }

  private static void close(Object writer, Field field) {
    try {
      field.setAccessible(true);
      if (field.get(writer) instanceof Admin admin) {
        admin.close(Duration.ZERO);
      }
    } catch (IllegalAccessException | InaccessibleObjectException e) {
      LOG.warn(
          "Cannot close the admin client of {}: a thread and its connections stay open until the process ends.",
          writer.getClass().getName(),
          e);
    }
  }
}
