/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.Lora;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Consumer;
import org.apache.flink.annotation.Internal;

/**
 * How a model is loaded.
 *
 * @param engineName what runs its networks: {@link Engines#AUTO}, or an engine's name
 * @param device where it runs
 * @param precision of its networks; an autoencoder whose config says {@code force_upcast} stays in
 *     float32
 * @param archives folder in which the engine keeps what it makes of networks, so that the next
 *     process need not make it again; empty keeps nothing, since it takes as much disk as the
 *     models themselves
 * @param safetyChecker whether a safety checker that the model folder has is loaded: the pictures
 *     it flags come out black
 * @param watermark whether pictures get the invisible watermark of Stable Diffusion XL; those with
 *     a side below 256 pixels are too small for it
 * @param loras merged into the weights, in this order
 * @param configs a folder in diffusers' layout whose configs and vocabularies a single-file
 *     checkpoint takes; empty infers them. Not for a model that is a folder itself
 * @param variant of the weights, such as {@code fp16}: taken where a component has it. Empty takes
 *     the plain ones, else those of the only variant. Not for a single file
 * @param components what differs for single components
 * @param caching what requests may reuse of earlier steps; empty computes every step whole
 * @param adapters LoRAs that requests may name; empty is none
 * @param ipAdapters files of IP-Adapters, in this order
 * @param imageEncoder folder of the vision network that they see images by; empty is the model's
 *     own, else the folder {@code image_encoder} beside the first of them
 * @param unetGuidance whether requests may change what a UNet does inside
 */
@Internal
public record PipelineSettings(
    String engineName,
    DeviceSpec device,
    Precision precision,
    Optional<Path> archives,
    boolean safetyChecker,
    boolean watermark,
    List<Lora> loras,
    Optional<Path> configs,
    Optional<String> variant,
    ComponentSettings components,
    Optional<Caching> caching,
    Optional<AdapterSettings> adapters,
    List<Path> ipAdapters,
    Optional<Path> imageEncoder,
    boolean unetGuidance) {
  public PipelineSettings {
    Objects.requireNonNull(engineName, "engineName");
    Objects.requireNonNull(device, "device");
    Objects.requireNonNull(precision, "precision");
    Objects.requireNonNull(archives, "archives");
    loras = List.copyOf(loras);
    Objects.requireNonNull(configs, "configs");
    Objects.requireNonNull(variant, "variant");
    Objects.requireNonNull(components, "components");
    Objects.requireNonNull(caching, "caching");
    Objects.requireNonNull(adapters, "adapters");
    ipAdapters = List.copyOf(ipAdapters);
    Objects.requireNonNull(imageEncoder, "imageEncoder");
  }

  /**
   * In the precision that suits the device, float16 on a GPU and float32 on the CPU; with the
   * folder's safety checker, without a watermark and LoRAs, keeping no archives.
   */
  public static PipelineSettings on(DeviceSpec device) {
    return new PipelineSettings(
        Engines.AUTO,
        device,
        device.isGpu() ? Precision.FLOAT16 : Precision.FLOAT32,
        Optional.empty(),
        true,
        false,
        List.of(),
        Optional.empty(),
        Optional.empty(),
        ComponentSettings.SAME,
        Optional.empty(),
        Optional.empty(),
        List.of(),
        Optional.empty(),
        false);
  }

  /**
   * The device of a component.
   *
   * @param component its name in the model's index
   */
  DeviceSpec device(String component) {
    return components.devices().getOrDefault(component, device);
  }

  /**
   * The precision of a component. One that is alone on the CPU, beside a model on a GPU, is in
   * float32 unless something else is asked for it.
   */
  Precision precision(String component) {
    boolean left = device.isGpu() && !device(component).isGpu();
    return components.precisions().getOrDefault(component, left ? Precision.FLOAT32 : precision);
  }

  /**
   * The engine that runs a network.
   *
   * @throws io.github.flinkdiffusion.ops.engine.EngineException if it is not there
   */
  Engine engine(Precision networks, Graph graph) {
    return engine(device, networks, graph);
  }

  /** As {@link #engine(Precision, Graph)}, on a device. */
  Engine engine(DeviceSpec where, Precision networks, Graph graph) {
    return engineName.equals(DescribingEngine.NAME)
        ? DescribingEngine.INSTANCE
        : Engines.standard().choose(engineName, where, networks, graph);
  }

  public PipelineSettings withEngine(String name) {
    return changed(draft -> draft.engineName = name);
  }

  public PipelineSettings withPrecision(Precision other) {
    return changed(draft -> draft.precision = other);
  }

  public PipelineSettings withArchives(Path folder) {
    return changed(draft -> draft.archives = Optional.of(folder));
  }

  public PipelineSettings withSafetyChecker(boolean checks) {
    return changed(draft -> draft.safetyChecker = checks);
  }

  public PipelineSettings withWatermark(boolean marks) {
    return changed(draft -> draft.watermark = marks);
  }

  public PipelineSettings withLoras(List<Lora> other) {
    return changed(draft -> draft.loras = other);
  }

  public PipelineSettings withConfigs(Path folder) {
    return changed(draft -> draft.configs = Optional.of(folder));
  }

  public PipelineSettings withVariant(String name) {
    return changed(draft -> draft.variant = Optional.of(name));
  }

  public PipelineSettings withComponents(ComponentSettings other) {
    return changed(draft -> draft.components = other);
  }

  public PipelineSettings withCaching(Caching other) {
    return changed(draft -> draft.caching = Optional.of(other));
  }

  public PipelineSettings withAdapters(AdapterSettings other) {
    return changed(draft -> draft.adapters = Optional.of(other));
  }

  /**
   * With IP-Adapters.
   *
   * @param files safetensors, as their authors publish them
   */
  public PipelineSettings withIpAdapters(List<Path> files, Optional<Path> encoder) {
    return changed(
        draft -> {
          draft.ipAdapters = files;
          draft.imageEncoder = encoder;
        });
  }

  public PipelineSettings withUNetGuidance(boolean enabled) {
    return changed(draft -> draft.unetGuidance = enabled);
  }

  private PipelineSettings changed(Consumer<Draft> change) {
    Draft draft = new Draft(this);
    change.accept(draft);
    return draft.settings();
  }

  /** The same fields, to be changed. The device is what the others were chosen for. */
  private static final class Draft {
    private final DeviceSpec device;
    private String engineName;
    private Precision precision;
    private Optional<Path> archives;
    private boolean safetyChecker;
    private boolean watermark;
    private List<Lora> loras;
    private Optional<Path> configs;
    private Optional<String> variant;
    private ComponentSettings components;
    private Optional<Caching> caching;
    private Optional<AdapterSettings> adapters;
    private List<Path> ipAdapters;
    private Optional<Path> imageEncoder;
    private boolean unetGuidance;

    Draft(PipelineSettings from) {
      engineName = from.engineName;
      device = from.device;
      precision = from.precision;
      archives = from.archives;
      safetyChecker = from.safetyChecker;
      watermark = from.watermark;
      loras = from.loras;
      configs = from.configs;
      variant = from.variant;
      components = from.components;
      caching = from.caching;
      adapters = from.adapters;
      ipAdapters = from.ipAdapters;
      imageEncoder = from.imageEncoder;
      unetGuidance = from.unetGuidance;
    }

    PipelineSettings settings() {
      return new PipelineSettings(
          engineName,
          device,
          precision,
          archives,
          safetyChecker,
          watermark,
          loras,
          configs,
          variant,
          components,
          caching,
          adapters,
          ipAdapters,
          imageEncoder,
          unetGuidance);
    }
  }
}
