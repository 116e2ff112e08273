/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.AuditException;
import io.github.flinkdiffusion.ops.imaging.Selection;
import io.github.flinkdiffusion.ops.pipeline.Basis;
import io.github.flinkdiffusion.ops.pipeline.Caching;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.ImageSettings;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;

/**
 * From an audit record back to a request: what an operator is set to and sent so that it makes a
 * result again. The result's bytes are the same where model, software and kind of device are, but
 * for rounding where a request shared its network calls with others.
 *
 * <pre>{@code
 * Audit audit = Audit.of(Images.read(file, ReadOptions.DEFAULT).metadata()).orElseThrow();
 * Configuration settings = Replay.settings(audit).set(DiffusionOptions.MODEL_FOLDER, folder);
 * PromptEvent again = Replay.prompt(audit, "again");
 * }</pre>
 */
@Internal
public final class Replay {
  /** Samples of each part of an image task. */
  static final String ENSEMBLE_SIZE = "ensembleSize";

  /** Of the image that an image task has worked on, after it was resized if it was. */
  static final String INPUT_WIDTH = "inputWidth";

  /** As {@link #INPUT_WIDTH}. */
  static final String INPUT_HEIGHT = "inputHeight";

  private Replay() {}

  /**
   * How the model was loaded, but for its place, that of its LoRAs and the device; and what of the
   * job's settings shows in results.
   *
   * @throws AuditException when a value is none that its option can have
   */
  public static Configuration settings(Audit audit) {
    Configuration settings = new Configuration();
    SortedMap<String, String> loadedAs = audit.loadedAs();
    if (loadedAs.containsKey("pipeline")) {
      settings.set(DiffusionOptions.MODEL_PIPELINE, loadedAs.get("pipeline"));
    }
    if (loadedAs.containsKey("variant")) {
      settings.set(DiffusionOptions.MODEL_VARIANT, loadedAs.get("variant"));
    }
    engine(loadedAs.getOrDefault("engine", ""))
        .ifPresent(engine -> settings.set(DiffusionOptions.ENGINE, engine));
    if (loadedAs.containsKey("precision")) {
      settings.set(DiffusionOptions.MODEL_PRECISION, precision(loadedAs.get("precision")));
    }
    if (loadedAs.containsKey("components")) {
      settings.set(DiffusionOptions.MODEL_PRECISIONS, precisions(loadedAs.get("components")));
    }
    Optional.ofNullable(loadedAs.get(Basis.CACHING))
        .flatMap(Caching::branch)
        .ifPresent(
            branch -> {
              // The record's parameters have the request's own interval and threshold.
              settings.set(DiffusionOptions.CACHE_INTERVAL, 1);
              settings.set(DiffusionOptions.CACHE_BRANCH, branch);
              if (audit.parameters().containsKey(Parameters.CACHE_THRESHOLD.name())) {
                settings.set(DiffusionOptions.CACHE_THRESHOLD, 0.0);
              }
            });
    if (audit.parameters().containsKey(Parameters.PAG_SCALE.name())
        || audit.parameters().containsKey(Parameters.FREEU_B1.name())) {
      settings.set(DiffusionOptions.UNET_GUIDANCE, true);
    }
    settings.set(
        DiffusionOptions.MODEL_SAFETY_CHECKER, !"false".equals(loadedAs.get("safetyChecker")));
    settings.set(DiffusionOptions.MODEL_WATERMARK, "true".equals(loadedAs.get("watermark")));
    List<ConfigOption<?>> showing = new ArrayList<>(ImageSettings.SHOWING_IN_RESULTS);
    showing.add(DiffusionOptions.LABEL_TEXT);
    for (ConfigOption<?> option : showing) {
      String value = audit.parameters().get(option.key());
      if (value != null) {
        settings.setString(option.key(), value);
      }
    }
    return settings;
  }

  /** Empty for several engines, which {@code auto} chose, and for records that name none. */
  private static Optional<String> engine(String recorded) {
    if (recorded.contains(" + ")) {
      return Optional.empty();
    }
    return recorded.startsWith("libtorch ")
        ? Optional.of("pytorch")
        : recorded.startsWith("ONNX Runtime ") ? Optional.of("onnxruntime") : Optional.empty();
  }

  /** Of components as {@code text_encoder_3=BFLOAT16 on cpu;...}; where they were is left out. */
  private static List<String> precisions(String recorded) {
    return Arrays.stream(recorded.split(";"))
        .map(
            component -> {
              int at = component.indexOf('=');
              String type = component.substring(at + 1).replaceFirst(" on (cpu|gpu)$", "");
              return component.substring(0, Math.max(at, 0)) + "=" + precision(type);
            })
        .toList();
  }

  private static Precision precision(String recorded) {
    return Arrays.stream(Precision.values())
        .filter(type -> type.name().equals(recorded))
        .findFirst()
        .orElseThrow(
            () ->
                new AuditException(
                    "The audit record's precision is '%s'; this version knows %s"
                        .formatted(
                            recorded,
                            Arrays.stream(Precision.values())
                                .map(Precision::name)
                                .collect(Collectors.joining(", ")))));
  }

  /**
   * The request for a result that was made from images.
   *
   * @param audit with all its texts, see {@link Audit#withOmittedTexts}
   * @param id of the request, which does not change the result
   * @param images by their parameters, {@code image} among them
   * @throws AuditException when a number is none
   */
  public static ImageTaskEvent imageTask(Audit audit, String id, Map<String, Payload> images) {
    Map<String, String> request = audit.request();
    // Those of the result, which follow from the image's.
    request.remove(Parameters.WIDTH.name());
    request.remove(Parameters.HEIGHT.name());
    List<String> chosen = new ArrayList<>(Selection.PARAMETERS);
    chosen.add(Events.PAGE);
    chosen.add(Events.PLANE);
    for (String name : chosen) {
      String value = audit.parameters().get(name);
      if (value != null) {
        request.put(name, value);
      }
    }
    Map<String, Payload> others = new TreeMap<>(images);
    others.keySet().removeAll(List.of(Parameters.IMAGE.name(), Parameters.MASK.name()));
    return ImageTaskEvent.newBuilder()
        .setId(id)
        .setImage(images.get(Parameters.IMAGE.name()))
        .setMask(images.get(Parameters.MASK.name()))
        .setEnsembleSize(number(audit, ENSEMBLE_SIZE))
        .setWidth(number(audit, INPUT_WIDTH))
        .setHeight(number(audit, INPUT_HEIGHT))
        .setParameters(request)
        .setImages(others)
        .build();
  }

  private static Integer number(Audit audit, String name) {
    String text = audit.parameters().get(name);
    try {
      return text == null ? null : Integer.valueOf(text);
    } catch (NumberFormatException e) {
      throw new AuditException(
          "The audit record's %s is '%s'; a whole number is expected".formatted(name, text), e);
    }
  }

  /**
   * The request for a result that was made without an image to start from.
   *
   * @param audit with all its texts, see {@link Audit#withOmittedTexts}
   * @param id of the request, which does not change the result
   * @param images by their parameters
   */
  public static PromptEvent prompt(Audit audit, String id, Map<String, Payload> images) {
    Map<String, String> request = audit.request();
    String prompt = request.remove(Parameters.PROMPT.name());
    return PromptEvent.newBuilder()
        .setId(id)
        .setPrompt(prompt == null ? "" : prompt)
        .setParameters(request)
        .setImages(new TreeMap<>(images))
        .build();
  }
}
