/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import java.util.List;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.metrics.Counter;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;

/** The work of {@link InputConsent}. */
final class ConsentFunction extends ProcessFunction<ImageTaskEvent, ImageTaskEvent> {
  private static final long serialVersionUID = 1L;
  private static final int MOST_CHARACTERS = 512;

  private final List<ScreenClassifier> classifiers;
  private final String attribute;
  private final PayloadSettings payloads;
  private transient ScreenClassifiers networks;
  private transient PayloadStore store;
  private transient Counter refused;

  ConsentFunction(List<ScreenClassifier> classifiers, String attribute, PayloadSettings payloads) {
    this.classifiers = classifiers;
    this.attribute = attribute;
    this.payloads = payloads;
  }

  @Override
  public void open(OpenContext context) {
    networks = ScreenClassifiers.open(classifiers);
    store = new PayloadStore(payloads);
    refused = getRuntimeContext().getMetricGroup().counter("numRefusedInputs");
  }

  @Override
  public void close() {
    if (networks != null) {
      networks.close();
      networks = null;
    }
  }

  @Override
  public void processElement(ImageTaskEvent task, Context context, Collector<ImageTaskEvent> out) {
    String consent = task.getAttributes().getOrDefault(attribute, "").strip();
    if (consent.length() > MOST_CHARACTERS) {
      fail(
          task,
          FailureReason.INVALID_REQUEST,
          "Attribute '%s' has %d characters; a reference of at most %d is accepted."
              .formatted(attribute, consent.length(), MOST_CHARACTERS),
          context);
      return;
    }
    if (!consent.isEmpty()) {
      out.collect(task);
      return;
    }
    try {
      ScreenClassifiers.Seen seen =
          networks.look(Images.read(store.read(task.getImage()), ReadOptions.DEFAULT));
      if (seen.found().isEmpty()) {
        out.collect(task);
        return;
      }
      fail(
          task,
          FailureReason.INVALID_REQUEST,
          "The input image shows a person (%s), and the request names no consent. Send it with a reference in the attribute '%s'."
              .formatted(seen.found().get(), attribute),
          context);
    } catch (ImageException | PayloadException e) {
      fail(
          task,
          e instanceof PayloadException ? FailureReason.PAYLOAD : FailureReason.INVALID_REQUEST,
          "The input image cannot be looked at, and the request names no consent: "
              + e.getMessage(),
          context);
    }
  }

  private void fail(ImageTaskEvent task, FailureReason reason, String message, Context context) {
    refused.inc();
    context.output(
        DiffusionOperator.FAILURES, Events.failure(RequestEvent.of(task), reason, message));
  }
}
