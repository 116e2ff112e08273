/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.hub.Hub;
import io.github.flinkdiffusion.ops.hub.HubException;
import io.github.flinkdiffusion.ops.hub.HubName;
import io.github.flinkdiffusion.ops.hub.HubWants;
import io.github.flinkdiffusion.ops.pipeline.AdapterSettings;
import io.github.flinkdiffusion.ops.pipeline.Caching;
import io.github.flinkdiffusion.ops.pipeline.ComponentSettings;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.weights.Lora;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
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

  private static final int MOST_IP_ADAPTERS = 4;

  private static final String SAFETY_CHECKER = "safety_checker";

  private static final Pattern COMPONENT = Pattern.compile("\\w{1,64}");

  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9._-]{1,64}");

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
          "Invalid value %2$s for option %1$s: expected %3$s."
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
        config.get(DiffusionOptions.MODEL_VARIANT),
        components(config, DiffusionOptions.MODEL_PRECISIONS),
        components(config, DiffusionOptions.MODEL_DEVICES),
        config.get(DiffusionOptions.MODEL_UNLOAD_TEXT_ENCODERS),
        caching(config),
        allowedLoras(config),
        residentLoras(config),
        ipAdapters(config),
        config.get(DiffusionOptions.MODEL_IMAGE_ENCODER),
        config.get(DiffusionOptions.UNET_GUIDANCE));
  }

  /** Entries of a list of what components have, checked. */
  private static List<String> components(ReadableConfig config, ConfigOption<List<String>> option) {
    List<String> entries = config.getOptional(option).orElse(List.of());
    Set<String> names = new TreeSet<>();
    for (String entry : entries) {
      String name = component(entry);
      String value = entry.substring(Math.min(entry.length(), name.length() + 1));
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

  private static String component(String entry) {
    return entry.substring(0, Math.max(0, entry.indexOf('=')));
  }

  private static String value(String entry) {
    return entry.substring(entry.indexOf('=') + 1);
  }

  /**
   * The models of {@link DiffusionOptions#MODELS} by name.
   *
   * @throws DiffusionException naming the entry and what would be accepted
   */
  static SortedMap<String, ModelSettings> others(ReadableConfig config) {
    SortedMap<String, ModelSettings> others = new TreeMap<>();
    for (String entry : config.getOptional(DiffusionOptions.MODELS).orElse(List.of())) {
      int at = entry.indexOf('=');
      String name = at < 0 ? "" : entry.substring(0, at).strip();
      String folder = entry.substring(at + 1).strip();
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
      requireHubName(DiffusionOptions.MODELS, folder);
      ModelSettings other =
          new ModelSettings(
              folder,
              null,
              engine(config),
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
              caching(config),
              List.of(),
              residentLoras(config),
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

  /**
   * The same, but another folder.
   *
   * @throws UnusableModelException if it is no name of the hub, though it looks like one
   */
  ModelSettings at(String other) {
    try {
      requireName(other);
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
        ("Invalid entry '%2$s' in option %1$s: expected file=scale, such as"
                + " /loras/style.safetensors=0.8.")
            .formatted(DiffusionOptions.MODEL_LORAS.key(), text));
  }

  /** Names of the hub that are none are refused before a job runs. */
  private void requireHubNames() {
    requireHubName(DiffusionOptions.MODEL_FOLDER, folder);
    loras.forEach(
        lora ->
            requireHubName(DiffusionOptions.MODEL_LORAS, lora.substring(0, lora.lastIndexOf('='))));
    allowedLoras.forEach(lora -> requireHubName(DiffusionOptions.LORAS_ALLOWED, value(lora)));
    ipAdapters.forEach(file -> requireHubName(DiffusionOptions.MODEL_IP_ADAPTERS, file));
    if (configs != null) {
      requireHubName(DiffusionOptions.MODEL_CONFIGS, configs);
    }
    if (imageEncoder != null) {
      requireHubName(DiffusionOptions.MODEL_IMAGE_ENCODER, imageEncoder);
    }
  }

  private static void requireHubName(ConfigOption<?> option, String text) {
    try {
      requireName(text);
    } catch (HubException e) {
      throw new DiffusionException("Option %s: %s".formatted(option.key(), e.getMessage()));
    }
  }

  /** What looks like a name of the hub, or an address, must be one. */
  private static void requireName(String text) {
    if (HubName.isOne(text)) {
      HubName.parse(text);
    } else if (FlinkFiles.isAddress(text)) {
      FlinkFiles.check(text);
    }
  }

  /** The model as a user calls it, the same for all spellings of a path. */
  String name() {
    if (HubName.isOne(folder)) {
      return HubName.parse(folder).toString();
    }
    return FlinkFiles.isAddress(folder) ? FlinkFiles.name(folder) : path().toString();
  }

  /** Whether it must be found first, and may have to be fetched. */
  private static boolean isElsewhere(String text) {
    return HubName.isOne(text) || FlinkFiles.isAddress(text);
  }

  /** Whether a part of it must be found first, and may have to be fetched. */
  public boolean isElsewhere() {
    return isElsewhere(folder)
        || loras.stream().anyMatch(ModelSettings::isElsewhere)
        || allowedLoras.stream().map(ModelSettings::value).anyMatch(ModelSettings::isElsewhere)
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
        located(folder, wants),
        pipeline,
        engine,
        precision,
        archives,
        safetyChecker,
        watermark,
        loras.stream().map(lora -> loraOnThisMachine(lora, wants)).toList(),
        configs == null ? null : located(configs, wantedOfConfigs(wants)),
        variant,
        precisions,
        devices,
        unloadsTextEncoders,
        caching,
        allowedLoras.stream().map(each -> allowedOnThisMachine(each, wants)).toList(),
        residentLoras,
        ipAdapters.stream()
            .map(each -> isElsewhere(each) ? fileOnThisMachine(each, wants) : each)
            .toList(),
        imageEncoder == null ? null : encoderOnThisMachine(imageEncoder),
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

  private static String located(String text, HubWants wants) {
    if (HubName.isOne(text)) {
      return Hub.standard().locate(HubName.parse(text), wants).toString();
    }
    return FlinkFiles.isAddress(text) ? FlinkFiles.locate(text, wants).toString() : text;
  }

  private static String loraOnThisMachine(String lora, HubWants wants) {
    if (!isElsewhere(lora)) {
      return lora;
    }
    int at = lora.lastIndexOf('=');
    return fileOnThisMachine(lora.substring(0, at), wants) + lora.substring(at);
  }

  private static String allowedOnThisMachine(String lora, HubWants wants) {
    return isElsewhere(value(lora))
        ? component(lora) + "=" + fileOnThisMachine(value(lora), wants)
        : lora;
  }

  /** Its two files, which the hub has in a folder of a repository. */
  private static String encoderOnThisMachine(String folder) {
    if (!HubName.isOne(folder)) {
      return folder;
    }
    HubName name = HubName.parse(folder);
    String within = name.file().map(path -> path.replaceFirst("/+$", "") + "/").orElse("");
    Path config = null;
    for (String file : List.of("model.safetensors", "config.json")) {
      config =
          Hub.standard()
              .file(new HubName(name.repository(), name.revision(), Optional.of(within + file)));
    }
    return config.getParent().toString();
  }

  private static String fileOnThisMachine(String file, HubWants wants) {
    return HubName.isOne(file)
        ? Hub.standard().file(HubName.parse(file)).toString()
        : located(file, wants);
  }

  /** Where the model is, the same for all spellings of a path. */
  Path path() {
    return Path.of(folder).toAbsolutePath().normalize();
  }

  /** All that the model is made of. */
  List<Path> files() {
    List<Path> files = new ArrayList<>(List.of(path()));
    loras.forEach(lora -> files.add(lora(lora).file()));
    allowedLoras.forEach(lora -> files.add(Path.of(value(lora))));
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
    allowedLoras.forEach(lora -> files.put(component(lora), Path.of(value(lora))));
    return Optional.of(new AdapterSettings(files, residentLoras));
  }

  /** Entries of the list of LoRAs that requests may name, checked. */
  private static List<String> allowedLoras(ReadableConfig config) {
    List<String> entries = config.getOptional(DiffusionOptions.LORAS_ALLOWED).orElse(List.of());
    Set<String> names = new TreeSet<>();
    for (String entry : entries) {
      String name = component(entry);
      if (!name.matches(AdapterSettings.NAME) || value(entry).isBlank()) {
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

  private static List<String> ipAdapters(ReadableConfig config) {
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

  private static int residentLoras(ReadableConfig config) {
    int resident = config.get(DiffusionOptions.LORAS_RESIDENT);
    if (resident < 1 || resident > AdapterSettings.MOST_RESIDENT) {
      throw DiffusionSettings.refused(
          DiffusionOptions.LORAS_RESIDENT,
          resident,
          "a whole number from 1 to " + AdapterSettings.MOST_RESIDENT);
    }
    return resident;
  }

  private static Caching caching(ReadableConfig config) {
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

  private ComponentSettings components() {
    Map<String, Precision> types = new TreeMap<>();
    precisions.forEach(entry -> types.put(component(entry), Precision.valueOf(value(entry))));
    Map<String, DeviceSpec> places = new TreeMap<>();
    devices.forEach(
        entry -> places.put(component(entry), Engines.standard().device(engine, value(entry))));
    return ComponentSettings.of(types, places, unloadsTextEncoders);
  }
}
