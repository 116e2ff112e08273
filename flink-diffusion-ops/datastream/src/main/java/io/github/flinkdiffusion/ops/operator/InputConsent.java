/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.flink.annotation.Experimental;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.jspecify.annotations.NullMarked;

/**
 * Builds the operator that refuses requests with an image of a person, unless they name that
 * person's consent: a request in whose images (the field {@code image} and those of the field
 * {@code images}) a face classifier finds a face needs the attribute {@code consent} with a
 * reference, such as the number of a signed form.
 *
 * <pre>{@code
 * RequestStreams<ImageTaskEvent> allowed =
 *     Diffusion.consent().addClassifier("faces", "/models/face-detection", Map.of("face", 0.5))
 *         .apply(tasks);
 * DiffusionStreams results = Diffusion.imageTasks().setModel(folder).apply(allowed.requests());
 * }</pre>
 *
 * <p>To have the reference in audit records and content credentials, set {@code
 * diffusion.audit.attributes: consent}. An input that cannot be looked at is refused.
 */
@NullMarked
@Experimental
public final class InputConsent {
  /** The attribute, if no other is set. */
  public static final String ATTRIBUTE = "consent";

  private final ImageWork work = new ImageWork("consent to inputs");
  private final List<ScreenClassifier> classifiers = new ArrayList<>();
  private String attribute = ATTRIBUTE;

  InputConsent() {}

  /**
   * Adds a classifier, as {@link ImageScreening#addClassifier}.
   *
   * @param limits from which share on a class counts as a person
   */
  public InputConsent addClassifier(String name, String folder, Map<String, Double> limits) {
    classifiers.add(ScreenClassifier.of(name, folder, List.of(), limits));
    return this;
  }

  /** Adds a CLIP, as {@link ImageScreening#addClip}. */
  public InputConsent addClip(
      String name, String folder, List<String> texts, Map<String, Double> limits) {
    classifiers.add(ScreenClassifier.of(name, folder, texts, limits));
    return this;
  }

  /** The attribute of requests that holds the reference; {@value #ATTRIBUTE} if not set. */
  public InputConsent setAttribute(String name) {
    attribute = Objects.requireNonNull(name);
    return this;
  }

  /**
   * Sets any of {@link PayloadOptions}, for images that are not in their events.
   *
   * @param <T> type of the value
   */
  public <T> InputConsent setOption(ConfigOption<T> option, T value) {
    work.setOption(option, value);
    return this;
  }

  /** The operator's identity in savepoints; it has no state. */
  public InputConsent uid(String operatorUid) {
    work.uid(operatorUid);
    return this;
  }

  /**
   * Adds the operator to the job.
   *
   * @throws DiffusionException without a classifier
   */
  public RequestStreams<ImageTaskEvent> apply(DataStream<ImageTaskEvent> requests) {
    return applied(requests, ImageTaskEvent.class);
  }

  /**
   * The same for prompts, whose field {@code images} may show a person, too.
   *
   * @throws DiffusionException without a classifier
   */
  public RequestStreams<PromptEvent> applyToPrompts(DataStream<PromptEvent> requests) {
    return applied(requests, PromptEvent.class);
  }

  private <E extends SpecificRecordBase> RequestStreams<E> applied(
      DataStream<E> requests, Class<E> kind) {
    if (classifiers.isEmpty()) {
      throw new DiffusionException(
          "Consent is asked for without a classifier; expected one, at least (addClassifier)");
    }
    return work.ofRequests(
        requests,
        kind,
        payloads -> new ConsentFunction<>(List.copyOf(classifiers), attribute, payloads));
  }
}
