/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.hub.Hub;
import io.github.flinkdiffusion.ops.hub.HubException;
import io.github.flinkdiffusion.ops.hub.HubName;
import io.github.flinkdiffusion.ops.hub.HubWants;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.weights.Lora;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;

/**
 * The part of {@link DiffusionOptions} that says which model is loaded and how.
 *
 * @param folder of the model, or its name on the hub
 * @param pipeline diffusers class that it is run as; null is the one that the folder names
 * @param engine {@code auto} or an engine's name
 * @param precision of the networks; null is what suits the device
 * @param archives folder where networks are kept as archives; null keeps none
 * @param safetyChecker whether the folder's safety checker is used
 * @param watermark whether pictures are marked
 * @param loras each as {@code file=scale}
 * @param configs folder whose configs a single-file checkpoint takes; null infers them
 * @param variant of the weights; null is the plain one
 */
@Internal
public record ModelSettings(
    String folder,
    String pipeline,
    String engine,
    Precision precision,
    String archives,
    boolean safetyChecker,
    boolean watermark,
    List<String> loras,
    String configs,
    String variant)
    implements Serializable {
  public ModelSettings {
    Objects.requireNonNull(folder, "folder");
    loras = List.copyOf(loras);
  }

  private static final String SAFETY_CHECKER = "safety_checker";

  /**
   * @throws DiffusionException naming the option, its value and what would be accepted
   */
  public static ModelSettings of(ReadableConfig config) {
    String folder =
        config
            .getOptional(DiffusionOptions.MODEL_FOLDER)
            .orElseThrow(
                () ->
                    new DiffusionException(
                        "The operator needs a model: call model(folder) with a folder in diffusers'"
                            + " layout, or set "
                            + DiffusionOptions.MODEL_FOLDER.key()
                            + "."));
    String device = config.get(DiffusionOptions.DEVICE);
    if (!DeviceSpec.isName(device)) {
      throw DiffusionSettings.refused(
          DiffusionOptions.DEVICE, device, "auto, cpu, or gpu:N with N from 0");
    }
    String pipeline = config.get(DiffusionOptions.MODEL_PIPELINE);
    if (pipeline != null && !Pipelines.supported().contains(pipeline)) {
      throw new DiffusionException(
          "Option %s cannot be %s; it takes %s."
              .formatted(
                  DiffusionOptions.MODEL_PIPELINE.key(),
                  pipeline,
                  String.join(", ", Pipelines.supported())));
    }
    ModelSettings settings = of(config, folder, pipeline);
    settings.requireHubNames();
    return settings;
  }

  private static ModelSettings of(ReadableConfig config, String folder, String pipeline) {
    return new ModelSettings(
        folder,
        pipeline,
        engine(config),
        config.get(DiffusionOptions.MODEL_PRECISION),
        config.get(DiffusionOptions.MODEL_ARCHIVES),
        config.get(DiffusionOptions.MODEL_SAFETY_CHECKER),
        config.get(DiffusionOptions.MODEL_WATERMARK),
        loras(config),
        config.get(DiffusionOptions.MODEL_CONFIGS),
        config.get(DiffusionOptions.MODEL_VARIANT));
  }

  /** Refuses at once what cannot be an engine's name; only a task manager knows which are there. */
  private static String engine(ReadableConfig config) {
    String engine = config.get(DiffusionOptions.ENGINE);
    if (!engine.matches("[a-z][a-z0-9-]{0,31}")) {
      throw DiffusionSettings.refused(
          DiffusionOptions.ENGINE, engine, "auto, onnxruntime or pytorch");
    }
    return engine;
  }

  private static List<String> loras(ReadableConfig config) {
    List<String> loras = config.getOptional(DiffusionOptions.MODEL_LORAS).orElse(List.of());
    loras.forEach(ModelSettings::lora);
    return loras;
  }

  /** Splits at the last "=", which a path may hold too. */
  private static Lora lora(String text) {
    int at = text.lastIndexOf('=');
    try {
      if (at > 0) {
        return new Lora(Path.of(text.substring(0, at)), Double.parseDouble(text.substring(at + 1)));
      }
    } catch (NumberFormatException | WeightsException e) {
      // As if there were no scale.
    }
    throw new DiffusionException(
        "Option %s cannot hold '%s'; each entry is file=scale, such as /loras/style.safetensors=0.8."
            .formatted(DiffusionOptions.MODEL_LORAS.key(), text));
  }

  /** Names of the hub that are none are refused before a job runs. */
  private void requireHubNames() {
    requireHubName(DiffusionOptions.MODEL_FOLDER, folder);
    loras.forEach(
        lora ->
            requireHubName(DiffusionOptions.MODEL_LORAS, lora.substring(0, lora.lastIndexOf('='))));
    if (configs != null) {
      requireHubName(DiffusionOptions.MODEL_CONFIGS, configs);
    }
  }

  private static void requireHubName(ConfigOption<?> option, String text) {
    if (!HubName.isOne(text)) {
      return;
    }
    try {
      HubName.parse(text);
    } catch (HubException e) {
      throw new DiffusionException("Option %s: %s".formatted(option.key(), e.getMessage()));
    }
  }

  /** The model as a user calls it, the same for all spellings of a path. */
  String name() {
    return HubName.isOne(folder) ? HubName.parse(folder).toString() : path().toString();
  }

  /** Whether some of it is on the hub. */
  private boolean isOnHub() {
    return HubName.isOne(folder)
        || loras.stream().anyMatch(HubName::isOne)
        || configs != null && HubName.isOne(configs);
  }

  /**
   * The same with paths on this machine instead of names of the hub: downloads what is missing.
   *
   * @throws HubException if it cannot be had
   */
  ModelSettings onThisMachine() {
    if (!isOnHub()) {
      return this;
    }
    Hub hub = Hub.standard();
    HubWants wants =
        new HubWants(
            Optional.ofNullable(variant), true, safetyChecker ? Set.of() : Set.of(SAFETY_CHECKER));
    return new ModelSettings(
        HubName.isOne(folder) ? hub.locate(HubName.parse(folder), wants).toString() : folder,
        pipeline,
        engine,
        precision,
        archives,
        safetyChecker,
        watermark,
        loras.stream().map(lora -> onThisMachine(hub, lora)).toList(),
        configs != null && HubName.isOne(configs)
            ? hub.model(HubName.parse(configs), HubWants.CONFIGS).toString()
            : configs,
        variant);
  }

  private static String onThisMachine(Hub hub, String lora) {
    if (!HubName.isOne(lora)) {
      return lora;
    }
    int at = lora.lastIndexOf('=');
    return hub.file(HubName.parse(lora.substring(0, at))) + lora.substring(at);
  }

  /** Where the model is, the same for all spellings of a path. */
  Path path() {
    return Path.of(folder).toAbsolutePath().normalize();
  }

  /** All that the model is made of. */
  List<Path> files() {
    List<Path> files = new ArrayList<>(List.of(path()));
    loras.forEach(lora -> files.add(lora(lora).file()));
    if (configs != null) {
      files.add(Path.of(configs));
    }
    return files;
  }

  PipelineSettings on(DeviceSpec device) {
    PipelineSettings suiting = PipelineSettings.on(device);
    return new PipelineSettings(
        engine,
        device,
        precision == null ? suiting.precision() : precision,
        Optional.ofNullable(archives).map(Path::of),
        safetyChecker,
        watermark,
        loras.stream().map(ModelSettings::lora).toList(),
        Optional.ofNullable(configs).map(Path::of),
        Optional.ofNullable(variant));
  }
}
