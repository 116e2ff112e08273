/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.network.IpAdapters;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What a model and a job add to the network of a {@link StableDiffusionFamily}: ControlNets,
 * T2I-Adapters, IP-Adapters, a cache, LoRAs that requests name, and guidance from within. It knows
 * which of them go together, and names the options that would add others.
 */
final class UNetExtras {
  private static final String IP_ADAPTERS = "diffusion.model.ip-adapters";
  private static final String CACHE = "diffusion.cache.interval";
  private static final String LORAS = "diffusion.loras.allowed";
  private static final String INNER = "diffusion.unet-guidance.enabled";

  private final StableDiffusionFamily family;
  private final UNet2DConditionConfig unet;
  private final Graph graph;
  private final boolean shared;
  private final Optional<Control> control;
  private final Optional<T2IAdapters> features;
  private final Optional<ImagePrompts> imagePrompts;
  private final Optional<Caching> caching;
  private final Optional<Adapters> adapters;
  private final Optional<InnerGuidance> inner;

  /**
   * @param config of the network, as {@code unet} was read from it
   * @param scaleFactor of the autoencoder
   */
  UNetExtras(
      Components components,
      StableDiffusionFamily family,
      Config config,
      UNet2DConditionConfig unet,
      int scaleFactor) {
    this.family = family;
    this.unet = unet;
    this.control =
        family.control() == null ? Optional.empty() : Control.open(components, unet, scaleFactor);
    this.features =
        family == StableDiffusionFamily.LATENT_CONSISTENCY
            ? Optional.empty()
            : T2IAdapters.open(components, unet, scaleFactor, family == StableDiffusionFamily.XL);
    if (control.isPresent() && features.isPresent()) {
      throw components
          .folder()
          .config()
          .unsupported("adapter", "T2IAdapter", "none in a model with a ControlNet");
    }
    this.imagePrompts = ImagePrompts.open(components, unet);
    // With these nothing is cached; what the settings ask for is refused then.
    this.shared = control.isPresent() || features.isPresent() || imagePrompts.isPresent();
    this.caching = shared ? Optional.empty() : components.caching();
    Optional<AdapterSettings> named =
        shared || caching.isPresent() ? Optional.empty() : components.adapters();
    this.inner =
        shared || caching.isPresent()
            ? Optional.empty()
            : InnerGuidance.open(
                components, config, unet, family != StableDiffusionFamily.LATENT_CONSISTENCY);
    UNet2DCondition network = new UNet2DCondition(unet);
    this.graph = inner.isPresent() ? network.guidedGraph() : network.graph();
    this.adapters =
        named.map(
            each ->
                Adapters.open(
                    each,
                    components,
                    "unet",
                    graph,
                    inner.isPresent()
                        ? List.of(UNet2DCondition.FORWARD, UNet2DCondition.GUIDED)
                        : List.of(UNet2DCondition.FORWARD),
                    textEncoders(components.folder())));
  }

  private static Set<String> textEncoders(ModelFolder folder) {
    return Stream.of("text_encoder", "text_encoder_2")
        .filter(folder::has)
        .collect(Collectors.toSet());
  }

  Optional<Control> control() {
    return control;
  }

  Optional<T2IAdapters> features() {
    return features;
  }

  Optional<ImagePrompts> imagePrompts() {
    return imagePrompts;
  }

  Optional<Adapters> adapters() {
    return adapters;
  }

  Optional<InnerGuidance> inner() {
    return inner;
  }

  /** The network with all of these. */
  Denoiser denoiser(Components components, Conditioning conditioning) {
    if (shared) {
      return SharedUNet.load(components, unet, conditioning, control, features, imagePrompts);
    }
    if (components.caching().isEmpty()) {
      Denoiser plain = Denoiser.of(components.load("unet", graph), conditioning.inputs());
      Denoiser guided = inner.map(each -> each.on(plain)).orElse(plain);
      return adapters.map(each -> each.on(guided)).orElse(guided);
    }
    return components.cachingDenoiser(
        "unet", new UNet2DCondition(unet), "layers_per_block", conditioning.inputs());
  }

  /** What requests may say of guidance, caching and LoRAs. */
  Signature lessWork(Signature signature) {
    Signature guided =
        family == StableDiffusionFamily.LATENT_CONSISTENCY
            ? signature
            : signature.optional(Parameters.GUIDANCE_INTERVAL);
    if (adapters.isPresent()) {
      guided = guided.optional(Parameters.LORAS);
    }
    if (inner.isPresent()) {
      guided = inner.get().describe(guided);
    }
    Signature all = guided;
    return caching
        .map(each -> all.withDefault(Parameters.CACHE_INTERVAL, (long) each.interval()))
        .orElse(all);
  }

  /** Names the job's options that would let requests have more, as far as they go together. */
  Signature elsewhere(Signature signature) {
    boolean shown = imagePrompts.isPresent();
    boolean caches = caching.isPresent();
    boolean adapts = adapters.isPresent();
    boolean guides = inner.isPresent();
    Signature all = signature;
    if (!shown && IpAdapters.takesAny(unet)) {
      all =
          all.elsewhere(
              job(IP_ADAPTERS, caches ? CACHE : "", adapts ? LORAS : "", guides ? INNER : ""),
              ImagePrompts.PARAMETERS);
    }
    if (control.isPresent() || features.isPresent()) {
      return all;
    }
    String images = shown ? IP_ADAPTERS : "";
    if (!caches) {
      all =
          all.elsewhere(
              job(CACHE, images, adapts ? LORAS : "", guides ? INNER : ""),
              List.of(Parameters.CACHE_INTERVAL));
    }
    if (!adapts) {
      all = all.elsewhere(job(LORAS, images, caches ? CACHE : ""), List.of(Parameters.LORAS));
    }
    return guides
        ? all
        : InnerGuidance.describeWithout(
            all,
            unet,
            family != StableDiffusionFamily.LATENT_CONSISTENCY,
            job(INNER, images, caches ? CACHE : ""));
  }

  private static String job(String option, String... without) {
    List<String> those = Stream.of(without).filter(each -> !each.isEmpty()).toList();
    return "the option "
        + option
        + (those.isEmpty() ? "" : " and without " + String.join(" and ", those));
  }

  /** What requests may say of images that are followed. */
  Signature controlled(Signature signature) {
    Signature featured = features.map(each -> each.describe(signature)).orElse(signature);
    Signature shown = imagePrompts.map(each -> each.describe(featured)).orElse(featured);
    return control.isEmpty()
        ? shown
        : control.get().describe(shown, family.control().description(), family.control().value());
  }

  /**
   * How a request begins whose network has these, but for IP-Adapters, see {@link ImagePrompts}.
   */
  Beginning of(GenerationRequest request, Beginning beginning) {
    Beginning featured = features.isPresent() ? features.get().of(request, beginning) : beginning;
    Beginning controlled = control.isPresent() ? control.get().of(request, featured) : featured;
    Beginning guided = inner.isPresent() ? inner.get().of(request, controlled) : controlled;
    return adapters.isPresent() ? adapters.get().of(request, guided) : guided;
  }
}
