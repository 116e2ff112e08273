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
    Optional<Path> imageEncoder) {
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
        Optional.empty());
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
    return new PipelineSettings(
        name,
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
        imageEncoder);
  }

  public PipelineSettings withPrecision(Precision other) {
    return new PipelineSettings(
        engineName,
        device,
        other,
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
        imageEncoder);
  }

  public PipelineSettings withArchives(Path folder) {
    return new PipelineSettings(
        engineName,
        device,
        precision,
        Optional.of(folder),
        safetyChecker,
        watermark,
        loras,
        configs,
        variant,
        components,
        caching,
        adapters,
        ipAdapters,
        imageEncoder);
  }

  public PipelineSettings withSafetyChecker(boolean checks) {
    return new PipelineSettings(
        engineName,
        device,
        precision,
        archives,
        checks,
        watermark,
        loras,
        configs,
        variant,
        components,
        caching,
        adapters,
        ipAdapters,
        imageEncoder);
  }

  public PipelineSettings withWatermark(boolean marks) {
    return new PipelineSettings(
        engineName,
        device,
        precision,
        archives,
        safetyChecker,
        marks,
        loras,
        configs,
        variant,
        components,
        caching,
        adapters,
        ipAdapters,
        imageEncoder);
  }

  public PipelineSettings withLoras(List<Lora> other) {
    return new PipelineSettings(
        engineName,
        device,
        precision,
        archives,
        safetyChecker,
        watermark,
        other,
        configs,
        variant,
        components,
        caching,
        adapters,
        ipAdapters,
        imageEncoder);
  }

  public PipelineSettings withConfigs(Path folder) {
    return new PipelineSettings(
        engineName,
        device,
        precision,
        archives,
        safetyChecker,
        watermark,
        loras,
        Optional.of(folder),
        variant,
        components,
        caching,
        adapters,
        ipAdapters,
        imageEncoder);
  }

  public PipelineSettings withVariant(String name) {
    return new PipelineSettings(
        engineName,
        device,
        precision,
        archives,
        safetyChecker,
        watermark,
        loras,
        configs,
        Optional.of(name),
        components,
        caching,
        adapters,
        ipAdapters,
        imageEncoder);
  }

  public PipelineSettings withComponents(ComponentSettings other) {
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
        other,
        caching,
        adapters,
        ipAdapters,
        imageEncoder);
  }

  public PipelineSettings withCaching(Caching other) {
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
        Optional.of(other),
        adapters,
        ipAdapters,
        imageEncoder);
  }

  public PipelineSettings withAdapters(AdapterSettings other) {
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
        Optional.of(other),
        ipAdapters,
        imageEncoder);
  }

  /**
   * With IP-Adapters.
   *
   * @param files safetensors, as their authors publish them
   */
  public PipelineSettings withIpAdapters(List<Path> files, Optional<Path> encoder) {
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
        files,
        encoder);
  }
}
