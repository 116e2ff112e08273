/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.hub.HubException;
import io.github.flinkdiffusion.ops.hub.HubWants;
import io.github.flinkdiffusion.ops.pipeline.AdapterSettings;
import io.github.flinkdiffusion.ops.pipeline.Caching;
import io.github.flinkdiffusion.ops.pipeline.ComponentSettings;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.weights.Lora;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;
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
 * @param precisions each as {@code component=precision}
 * @param devices each as {@code component=device}
 * @param unloadsTextEncoders whether text encoders are in memory only while they encode
 * @param caching what requests may reuse of earlier steps; null is nothing
 * @param allowedLoras LoRAs that requests may name, each as {@code name=file}
 * @param residentLoras how many of these stay in memory
 * @param ipAdapters files of IP-Adapters
 * @param imageEncoder folder of the network that they see images by; null is the model's own, or
 *     the one beside the first of them
 * @param unetGuidance whether requests may change what a UNet does inside
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
    String variant,
    List<String> precisions,
    List<String> devices,
    boolean unloadsTextEncoders,
    Caching caching,
    List<String> allowedLoras,
    int residentLoras,
    List<String> ipAdapters,
    String imageEncoder,
    boolean unetGuidance)
    implements Serializable {
  public ModelSettings {
    Objects.requireNonNull(folder, "folder");
    loras = List.copyOf(loras);
    precisions = List.copyOf(precisions);
    devices = List.copyOf(devices);
    allowedLoras = List.copyOf(allowedLoras);
    ipAdapters = List.copyOf(ipAdapters);
  }

  /** Names that diffusers gives denoising networks. */
  private static final Set<String> DENOISERS = Set.of("transformer", "unet");

  private static final String SAFETY_CHECKER = "safety_checker";

  /**
   * @throws DiffusionException naming the option, its value and what would be accepted
   */
  public static ModelSettings of(ReadableConfig config) {
    return new ModelSettingsReader(config).read();
  }

  /**
   * The same, but another folder.
   *
   * @throws UnusableModelException if it is no name of the hub, though it looks like one
   */
  ModelSettings at(String other) {
    try {
      new ModelPlace(other).require();
    } catch (HubException e) {
      throw new UnusableModelException(e.getMessage(), e);
    }
    return new ModelSettings(
        other,
        pipeline,
        engine,
        precision,
        archives,
        safetyChecker,
        watermark,
        loras,
        configs,
        variant,
        precisions,
        devices,
        unloadsTextEncoders,
        caching,
        allowedLoras,
        residentLoras,
        ipAdapters,
        imageEncoder,
        unetGuidance);
  }

  /** Splits at the last "=", which a path may hold too. */
  static Lora lora(String text) {
    int at = text.lastIndexOf('=');
    try {
      if (at > 0) {
        return new Lora(Path.of(text.substring(0, at)), Double.parseDouble(text.substring(at + 1)));
      }
    } catch (NumberFormatException | WeightsException e) {
      // As if there were no scale.
    }
    throw new DiffusionException(
        ("Invalid entry '%2$s' in option %1$s: expected file=scale, such as"
                + " /loras/style.safetensors=0.8.")
            .formatted(DiffusionOptions.MODEL_LORAS.key(), text));
  }

  /** The model as a user calls it, the same for all spellings of a path. */
  String name() {
    return new ModelPlace(folder).name();
  }

  private static boolean isElsewhere(String text) {
    return new ModelPlace(text).isElsewhere();
  }

  /** Whether a part of it must be found first, and may have to be fetched. */
  public boolean isElsewhere() {
    return isElsewhere(folder)
        || loras.stream().anyMatch(ModelSettings::isElsewhere)
        || allowedLoras.stream()
            .map(lora -> NamedEntry.of(lora).value())
            .anyMatch(ModelSettings::isElsewhere)
        || ipAdapters.stream().anyMatch(ModelSettings::isElsewhere)
        || imageEncoder != null && isElsewhere(imageEncoder)
        || configs != null && isElsewhere(configs);
  }

  /**
   * The same with paths on this machine instead of names of the hub, and addresses: downloads what
   * is missing.
   *
   * @throws HubException if it cannot be had
   */
  ModelSettings onThisMachine() {
    if (!isElsewhere()) {
      return this;
    }
    HubWants wants =
        new HubWants(
            Optional.ofNullable(variant), true, safetyChecker ? Set.of() : Set.of(SAFETY_CHECKER));
    return new ModelSettings(
        new ModelPlace(folder).folderHere(wants),
        pipeline,
        engine,
        precision,
        archives,
        safetyChecker,
        watermark,
        loras.stream().map(lora -> loraOnThisMachine(lora, wants)).toList(),
        configs == null ? null : new ModelPlace(configs).folderHere(wantedOfConfigs(wants)),
        variant,
        precisions,
        devices,
        unloadsTextEncoders,
        caching,
        allowedLoras.stream().map(each -> allowedOnThisMachine(each, wants)).toList(),
        residentLoras,
        ipAdapters.stream().map(each -> new ModelPlace(each).fileHere(wants)).toList(),
        imageEncoder == null ? null : new ModelPlace(imageEncoder).encoderHere(),
        unetGuidance);
  }

  /**
   * A GGUF file is the denoising network, so all others come from the folder of its configs, and of
   * that one the config.
   */
  private HubWants wantedOfConfigs(HubWants ofModel) {
    return folder.endsWith(".gguf")
        ? new HubWants(Optional.empty(), true, ofModel.without(), DENOISERS)
        : HubWants.CONFIGS;
  }

  private static String loraOnThisMachine(String lora, HubWants wants) {
    if (!isElsewhere(lora)) {
      return lora;
    }
    int at = lora.lastIndexOf('=');
    return new ModelPlace(lora.substring(0, at)).fileHere(wants) + lora.substring(at);
  }

  private static String allowedOnThisMachine(String lora, HubWants wants) {
    NamedEntry entry = NamedEntry.of(lora);
    return entry.with(new ModelPlace(entry.value()).fileHere(wants));
  }

  /** Where the model is, the same for all spellings of a path. */
  Path path() {
    return new ModelPlace(folder).path();
  }

  /** All that the model is made of. */
  List<Path> files() {
    List<Path> files = new ArrayList<>(List.of(path()));
    loras.forEach(lora -> files.add(lora(lora).file()));
    allowedLoras.forEach(lora -> files.add(Path.of(NamedEntry.of(lora).value())));
    ipAdapters.forEach(file -> files.add(Path.of(file)));
    if (imageEncoder != null) {
      files.add(Path.of(imageEncoder));
    }
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
        Optional.ofNullable(variant),
        components(),
        Optional.ofNullable(caching),
        adapters(),
        ipAdapters.stream().map(Path::of).toList(),
        Optional.ofNullable(imageEncoder).map(Path::of),
        unetGuidance);
  }

  private Optional<AdapterSettings> adapters() {
    if (allowedLoras.isEmpty()) {
      return Optional.empty();
    }
    SortedMap<String, Path> files = new TreeMap<>();
    allowedLoras.forEach(
        lora -> files.put(NamedEntry.of(lora).name(), Path.of(NamedEntry.of(lora).value())));
    return Optional.of(new AdapterSettings(files, residentLoras));
  }

  private ComponentSettings components() {
    Map<String, Precision> types = new TreeMap<>();
    precisions.stream()
        .map(NamedEntry::of)
        .forEach(each -> types.put(each.name(), Precision.valueOf(each.value())));
    Map<String, DeviceSpec> places = new TreeMap<>();
    devices.stream()
        .map(NamedEntry::of)
        .forEach(each -> places.put(each.name(), Engines.standard().device(engine, each.value())));
    return ComponentSettings.of(types, places, unloadsTextEncoders);
  }
}
