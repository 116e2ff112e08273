/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureMessages;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.serving.ProcessServices;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.metrics.Counter;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;

/**
 * The work of {@link InputConsent}. Each image of a request is looked at, in the order of their
 * names, until one shows a person; a mask is not, since it only says where.
 *
 * @param <E> kind of requests
 */
final class ConsentFunction<E extends SpecificRecord> extends ProcessFunction<E, E> {
  private static final long serialVersionUID = 1L;
  private static final int MOST_CHARACTERS = 512;
  private static final int MOST_SHOWN = 80;

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
  public void processElement(E event, Context context, Collector<E> out) {
    RequestEvent request = RequestEvent.of(event);
    String consent = request.attributes().getOrDefault(attribute, "").strip();
    if (consent.length() > MOST_CHARACTERS) {
      fail(
          request,
          FailureReason.INVALID_REQUEST,
          "Attribute '%s' has %d characters; a reference of at most %d is accepted."
              .formatted(attribute, consent.length(), MOST_CHARACTERS),
          context);
      return;
    }
    if (consent.isEmpty() && !mayPass(request, images(event), context)) {
      return;
    }
    out.collect(event);
  }

  /** By the parameter that each is. */
  private static SortedMap<String, Payload> images(SpecificRecord event) {
    if (event instanceof PromptEvent prompt) {
      return new TreeMap<>(prompt.getImages());
    }
    ImageTaskEvent task = (ImageTaskEvent) event;
    SortedMap<String, Payload> images = new TreeMap<>(task.getImages());
    images.put(OpenImageTask.IMAGE, task.getImage());
    return images;
  }

  private boolean mayPass(
      RequestEvent request, SortedMap<String, Payload> images, Context context) {
    for (Map.Entry<String, Payload> image : images.entrySet()) {
      String name =
          image.getKey().equals(OpenImageTask.IMAGE)
              ? "input image"
              : FailureMessages.shortened(image.getKey(), MOST_SHOWN);
      try {
        ScreenClassifiers.Seen seen =
            networks.look(
                ProcessServices.OF_PROCESS
                    .decoding()
                    .readAtOnce(store.read(image.getValue()), ReadOptions.DEFAULT));
        if (seen.found().isPresent()) {
          fail(
              request,
              FailureReason.INVALID_REQUEST,
              "The %s shows a person (%s), and the request names no consent. Send it with a reference in the attribute '%s'."
                  .formatted(name, seen.found().get(), attribute),
              context);
          return false;
        }
      } catch (ImageException | PayloadException e) {
        fail(
            request,
            e instanceof PayloadException ? FailureReason.PAYLOAD : FailureReason.INVALID_REQUEST,
            "The %s cannot be looked at, and the request names no consent: %s"
                .formatted(name, e.getMessage()),
            context);
        return false;
      }
    }
    return true;
  }

  private void fail(RequestEvent request, FailureReason reason, String message, Context context) {
    refused.inc();
    context.output(DiffusionOperator.FAILURES, Events.failure(request, reason, message));
  }
}
