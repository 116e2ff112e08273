/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.pipeline.AdapterSettings;
import io.github.flinkdiffusion.ops.pipeline.Caching;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;

/** Reads {@link ModelSettings} from options, and refuses values that cannot be meant. */
final class ModelSettingsReader {
  private static final int MOST_IP_ADAPTERS = 4;

  private static final Pattern COMPONENT = Pattern.compile("\\w{1,64}");

  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9._-]{1,64}");

  private final ReadableConfig config;

  ModelSettingsReader(ReadableConfig config) {
    this.config = config;
  }

  /**
   * The model of {@link DiffusionOptions#MODEL_FOLDER}.
   *
   * @throws DiffusionException naming the option, its value and what would be accepted
   */
  ModelSettings read() {
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
          "Invalid value %2$s for option %1$s: expected %3$s."
              .formatted(
                  DiffusionOptions.MODEL_PIPELINE.key(),
                  pipeline,
                  String.join(", ", Pipelines.supported())));
    }
    ModelSettings settings = read(folder, pipeline);
    requirePlaces(settings);
    return settings;
  }

  private ModelSettings read(String folder, String pipeline) {
    return new ModelSettings(
        folder,
        pipeline,
        engine(),
        config.get(DiffusionOptions.MODEL_PRECISION),
        config.get(DiffusionOptions.MODEL_ARCHIVES),
        config.get(DiffusionOptions.MODEL_SAFETY_CHECKER),
        config.get(DiffusionOptions.MODEL_WATERMARK),
        loras(),
        config.get(DiffusionOptions.MODEL_CONFIGS),
        config.get(DiffusionOptions.MODEL_VARIANT),
        components(DiffusionOptions.MODEL_PRECISIONS),
        components(DiffusionOptions.MODEL_DEVICES),
        config.get(DiffusionOptions.MODEL_UNLOAD_TEXT_ENCODERS),
        caching(),
        allowedLoras(),
        residentLoras(),
        ipAdapters(),
        config.get(DiffusionOptions.MODEL_IMAGE_ENCODER),
        config.get(DiffusionOptions.UNET_GUIDANCE));
  }

  /** Entries of a list of what components have, checked. */
  private List<String> components(ConfigOption<List<String>> option) {
    List<String> entries = config.getOptional(option).orElse(List.of());
    Set<String> names = new TreeSet<>();
    for (String entry : entries) {
      String name = NamedEntry.of(entry).name();
      String value = NamedEntry.of(entry).value();
      boolean known =
          option == DiffusionOptions.MODEL_DEVICES
              ? DeviceSpec.isName(value) && !value.equals("auto")
              : Arrays.stream(Precision.values()).anyMatch(each -> each.name().equals(value));
      if (!COMPONENT.matcher(name).matches() || !known) {
        throw refusedComponent(
            option,
            entry,
            option == DiffusionOptions.MODEL_DEVICES
                ? "component=device, such as text_encoder_3=cpu, with cpu or gpu:N"
                : "component=precision, such as text_encoder_3=BFLOAT16, with FLOAT32, FLOAT16 or"
                    + " BFLOAT16");
      }
      if (!names.add(name)) {
        throw refusedComponent(option, entry, "each component once");
      }
    }
    return entries;
  }

  private static DiffusionException refusedComponent(
      ConfigOption<?> option, String entry, String expected) {
    return new DiffusionException(
        "Invalid entry '%s' in option %s: expected %s.".formatted(entry, option.key(), expected));
  }

  /**
   * The models of {@link DiffusionOptions#MODELS} by name.
   *
   * @throws DiffusionException naming the entry and what would be accepted
   */
  SortedMap<String, ModelSettings> others() {
    SortedMap<String, ModelSettings> others = new TreeMap<>();
    for (String entry : config.getOptional(DiffusionOptions.MODELS).orElse(List.of())) {
      String name = NamedEntry.of(entry).name().strip();
      String folder = NamedEntry.of(entry).value().strip();
      if (!NAME.matcher(name).matches() || folder.isEmpty()) {
        throw refusedModel(
            entry,
            "each entry is name=folder, such as emoji=/models/mini-emoji, and a name has 1 to 64"
                + " letters, digits, and characters of '._-'");
      }
      if (name.equals(ModelList.DEFAULT)) {
        throw refusedModel(
            entry,
            "'%s' is the model of %s"
                .formatted(ModelList.DEFAULT, DiffusionOptions.MODEL_FOLDER.key()));
      }
      new ModelPlace(folder).require(DiffusionOptions.MODELS);
      ModelSettings other =
          new ModelSettings(
              folder,
              null,
              engine(),
              config.get(DiffusionOptions.MODEL_PRECISION),
              config.get(DiffusionOptions.MODEL_ARCHIVES),
              config.get(DiffusionOptions.MODEL_SAFETY_CHECKER),
              config.get(DiffusionOptions.MODEL_WATERMARK),
              List.of(),
              null,
              config.get(DiffusionOptions.MODEL_VARIANT),
              List.of(),
              List.of(),
              config.get(DiffusionOptions.MODEL_UNLOAD_TEXT_ENCODERS),
              caching(),
              List.of(),
              residentLoras(),
              List.of(),
              null,
              config.get(DiffusionOptions.UNET_GUIDANCE));
      if (others.put(name, other) != null) {
        throw refusedModel(entry, "there is another entry of the name '%s'".formatted(name));
      }
    }
    return others;
  }

  private static DiffusionException refusedModel(String entry, String why) {
    return new DiffusionException(
        "Option %s cannot hold '%s'; %s.".formatted(DiffusionOptions.MODELS.key(), entry, why));
  }

  /** Names of the hub that are none are refused before a job runs. */
  private static void requirePlaces(ModelSettings settings) {
    require(DiffusionOptions.MODEL_FOLDER, settings.folder());
    settings
        .loras()
        .forEach(
            lora ->
                require(DiffusionOptions.MODEL_LORAS, lora.substring(0, lora.lastIndexOf('='))));
    settings
        .allowedLoras()
        .forEach(lora -> require(DiffusionOptions.LORAS_ALLOWED, NamedEntry.of(lora).value()));
    settings.ipAdapters().forEach(file -> require(DiffusionOptions.MODEL_IP_ADAPTERS, file));
    if (settings.configs() != null) {
      require(DiffusionOptions.MODEL_CONFIGS, settings.configs());
    }
    if (settings.imageEncoder() != null) {
      require(DiffusionOptions.MODEL_IMAGE_ENCODER, settings.imageEncoder());
    }
  }

  private static void require(ConfigOption<?> option, String place) {
    new ModelPlace(place).require(option);
  }

  /** Refuses at once what cannot be an engine's name; only a task manager knows which are there. */
  private String engine() {
    String engine = config.get(DiffusionOptions.ENGINE);
    if (!engine.matches("[a-z][a-z0-9-]{0,31}")) {
      throw DiffusionSettings.refused(
          DiffusionOptions.ENGINE, engine, "auto, onnxruntime or pytorch");
    }
    return engine;
  }

  private List<String> loras() {
    List<String> loras = config.getOptional(DiffusionOptions.MODEL_LORAS).orElse(List.of());
    loras.forEach(ModelSettings::lora);
    return loras;
  }

  /** Entries of the list of LoRAs that requests may name, checked. */
  private List<String> allowedLoras() {
    List<String> entries = config.getOptional(DiffusionOptions.LORAS_ALLOWED).orElse(List.of());
    Set<String> names = new TreeSet<>();
    for (String entry : entries) {
      String name = NamedEntry.of(entry).name();
      if (!name.matches(AdapterSettings.NAME) || NamedEntry.of(entry).value().isBlank()) {
        throw refusedComponent(
            DiffusionOptions.LORAS_ALLOWED,
            entry,
            "name=file, such as style=/loras/style.safetensors, where a name has 1 to 64 letters,"
                + " digits, and characters of '._-'");
      }
      if (!names.add(name)) {
        throw refusedComponent(DiffusionOptions.LORAS_ALLOWED, entry, "each name once");
      }
    }
    return entries;
  }

  private List<String> ipAdapters() {
    List<String> files = config.getOptional(DiffusionOptions.MODEL_IP_ADAPTERS).orElse(List.of());
    if (files.stream().anyMatch(String::isBlank) || files.size() > MOST_IP_ADAPTERS) {
      throw DiffusionSettings.refused(
          DiffusionOptions.MODEL_IP_ADAPTERS,
          files,
          "1 to %d files, such as /adapters/ip-adapter_sd15.safetensors"
              .formatted(MOST_IP_ADAPTERS));
    }
    String encoder = config.get(DiffusionOptions.MODEL_IMAGE_ENCODER);
    if (encoder != null && files.isEmpty()) {
      throw DiffusionSettings.refused(
          DiffusionOptions.MODEL_IMAGE_ENCODER,
          encoder,
          "no value without " + DiffusionOptions.MODEL_IP_ADAPTERS.key());
    }
    if (encoder != null && FlinkFiles.isAddress(encoder)) {
      throw DiffusionSettings.refused(
          DiffusionOptions.MODEL_IMAGE_ENCODER,
          encoder,
          "the path of a folder on every task manager, or hf://owner/name/folder");
    }
    return files;
  }

  private int residentLoras() {
    int resident = config.get(DiffusionOptions.LORAS_RESIDENT);
    if (resident < 1 || resident > AdapterSettings.MOST_RESIDENT) {
      throw DiffusionSettings.refused(
          DiffusionOptions.LORAS_RESIDENT,
          resident,
          "a whole number from 1 to " + AdapterSettings.MOST_RESIDENT);
    }
    return resident;
  }

  private Caching caching() {
    Optional<Integer> interval = config.getOptional(DiffusionOptions.CACHE_INTERVAL);
    if (interval.isEmpty()) {
      return null;
    }
    if (interval.get() < 1 || interval.get() > Caching.LONGEST_INTERVAL) {
      throw DiffusionSettings.refused(
          DiffusionOptions.CACHE_INTERVAL,
          interval.get(),
          "a whole number from 1 to " + Caching.LONGEST_INTERVAL);
    }
    int branch = config.get(DiffusionOptions.CACHE_BRANCH);
    if (branch < 0) {
      throw DiffusionSettings.refused(
          DiffusionOptions.CACHE_BRANCH, branch, "a whole number from 0");
    }
    Double threshold = config.getOptional(DiffusionOptions.CACHE_THRESHOLD).orElse(null);
    if (threshold != null && !Caching.isThreshold(threshold)) {
      throw DiffusionSettings.refused(
          DiffusionOptions.CACHE_THRESHOLD, threshold, "a number from 0 to 10");
    }
    return new Caching(
        interval.get(), branch, config.get(DiffusionOptions.CACHE_MEMORY).getBytes(), threshold);
  }
}
