/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import java.lang.reflect.Field;
import java.lang.reflect.InaccessibleObjectException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.groups.SinkWriterMetricGroup;

/**
 * The writer that Flink's sink is about to return. The sink's method creates the writer and then
 * initializes it, which asks the broker; when that fails, nobody gets the writer, and its admin
 * client stays open ({@link WriterClients}). Each restart would leave another one while the broker
 * is away.
 *
 * <p>What the writer hands out before it is initialized is a metric that holds it; so the context
 * that it gets looks at that metric. Where there is none, nothing is closed, as without this class.
 */
final class WriterInMaking {
  private static final String HANDED_OUT = "setCurrentSendTimeGauge";

  private final WriterInitContext context;
  private SinkWriter<?> writer;

  WriterInMaking(WriterInitContext context) {
    SinkWriterMetricGroup metrics =
        delegating(
            SinkWriterMetricGroup.class,
            context.metricGroup(),
            (method, arguments) -> {
              if (method.getName().equals(HANDED_OUT) && arguments[0] instanceof Gauge<?> gauge) {
                writer = heldBy(gauge);
              }
              return null;
            });
    this.context =
        delegating(
            WriterInitContext.class,
            context,
            (method, none) -> method.getName().equals("metricGroup") ? metrics : null);
  }

  /** To be given to the sink. */
  WriterInitContext context() {
    return context;
  }

  /** Closes what a writer that failed to be initialized, and has closed itself, left open. */
  void closeClients() {
    if (writer != null) {
      WriterClients.close(writer);
    }
  }

  private static SinkWriter<?> heldBy(Gauge<?> gauge) {
    for (Field field : gauge.getClass().getDeclaredFields()) {
      if (SinkWriter.class.isAssignableFrom(field.getType())) {
        try {
          field.setAccessible(true);
          return (SinkWriter<?>) field.get(gauge);
        } catch (IllegalAccessException | InaccessibleObjectException e) {
          return null;
        }
      }
    }
    return null;
  }

  private interface Instead {
    /**
     * @return null to ask the original
     */
    Object of(Method method, Object[] arguments);
  }

  /** By reflection, since Flink's versions differ in what these types have. */
  private static <T> T delegating(Class<T> type, T original, Instead instead) {
    return type.cast(
        Proxy.newProxyInstance(
            type.getClassLoader(),
            new Class<?>[] {type},
            (self, method, arguments) -> {
              Object other = instead.of(method, arguments);
              if (other != null) {
                return other;
              }
              try {
                return method.invoke(original, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            }));
  }
}
