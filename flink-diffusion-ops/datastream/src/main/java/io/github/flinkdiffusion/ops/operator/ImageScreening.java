/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.apache.flink.annotation.Experimental;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.jspecify.annotations.NullMarked;
import org.jspecify.annotations.Nullable;

/**
 * Builds the operator that looks at finished images with classifiers of your own, and blocks, blurs
 * or blackens what they find, by tenant.
 *
 * <pre>{@code
 * ScreenedStreams screened =
 *     Diffusion.screening()
 *         .addClassifier("safety", "/models/nsfw-detection", Map.of("nsfw", 0.5))
 *         .setAction(ScreenAction.BLUR)
 *         .setTenants("tenant", Map.of("school", ScreenAction.BLOCK))
 *         .apply(results.images());
 * }</pre>
 *
 * <p>Each image gets the attributes {@value #DECISION} and {@code screen.CLASSIFIER.CLASS} with its
 * score. The classifiers run on the CPU, in the task's own thread. An image that cannot be looked
 * at is blocked.
 */
@NullMarked
@Experimental
public final class ImageScreening {
  /** Attribute: NONE where nothing was found, else a {@link ScreenAction}. */
  public static final String DECISION = "screen.decision";

  private final ImageWork work = new ImageWork("screen images");
  private final List<ScreenClassifier> classifiers = new ArrayList<>();
  private final TreeMap<String, ScreenAction> tenants = new TreeMap<>();
  private ScreenAction action = ScreenAction.BLOCK;
  private @Nullable String tenantAttribute;

  ImageScreening() {}

  /**
   * Adds a classifier with classes of its own: a folder of a {@code ViTForImageClassification}.
   *
   * @param name for attributes and messages
   * @param limits from which share on a class counts as found, above 0 and up to 1
   */
  public ImageScreening addClassifier(String name, String folder, Map<String, Double> limits) {
    classifiers.add(ScreenClassifier.of(name, folder, List.of(), limits));
    return this;
  }

  /**
   * Adds a CLIP as classifier (zero-shot): a folder of a {@code CLIPModel}.
   *
   * @param texts one for each class, also of harmless ones: their shares add up to 1
   * @param limits by text
   */
  public ImageScreening addClip(
      String name, String folder, List<String> texts, Map<String, Double> limits) {
    classifiers.add(ScreenClassifier.of(name, folder, texts, limits));
    return this;
  }

  /** What becomes of an image that is found; {@link ScreenAction#BLOCK} if not set. */
  public ImageScreening setAction(ScreenAction whatToDo) {
    action = Objects.requireNonNull(whatToDo);
    return this;
  }

  /**
   * Other actions for some tenants.
   *
   * @param attribute of requests that holds the tenant
   * @param actions by tenant; all others have that of {@link #setAction}
   */
  public ImageScreening setTenants(String attribute, Map<String, ScreenAction> actions) {
    tenantAttribute = Objects.requireNonNull(attribute);
    tenants.clear();
    tenants.putAll(actions);
    return this;
  }

  /**
   * Sets any of {@link PayloadOptions}, for images that are not in their events.
   *
   * @param <T> type of the value
   */
  public <T> ImageScreening setOption(ConfigOption<T> option, T value) {
    work.setOption(option, value);
    return this;
  }

  /** The operator's identity in savepoints; it has no state. */
  public ImageScreening uid(String operatorUid) {
    work.uid(operatorUid);
    return this;
  }

  /**
   * Adds the operator to the job.
   *
   * @param results of an operator, before they go to a sink
   * @throws DiffusionException without a classifier
   */
  public ScreenedStreams apply(DataStream<ImageEvent> results) {
    if (classifiers.isEmpty()) {
      throw new DiffusionException(
          "Images are screened without a classifier; expected one, at least (addClassifier)");
    }
    SingleOutputStreamOperator<ImageEvent> images =
        work.process(
            results,
            ImageEvent.class,
            payloads ->
                new ScreeningFunction(
                    List.copyOf(classifiers),
                    action,
                    tenantAttribute,
                    new TreeMap<>(tenants),
                    payloads));
    return new ScreenedStreams(
        images,
        images.getSideOutput(DiffusionOperator.FAILURES),
        images.getSideOutput(ScreeningFunction.REVIEW));
  }
}
