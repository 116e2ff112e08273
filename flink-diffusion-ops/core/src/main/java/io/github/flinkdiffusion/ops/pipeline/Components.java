/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.network.CachingNetwork;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.JoinedTensors;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.function.Consumer;

/** A model folder's networks on a device; closes all that it opened. */
final class Components implements AutoCloseable {
  private final ModelFolder folder;
  private final PipelineSettings settings;
  private final SortedSet<String> engines = new TreeSet<>();
  private final ModelCheck check;
  private final List<Network> opened = new ArrayList<>();
  private boolean cachingAsked;
  private boolean unetGuidanceAsked;
  private boolean adaptersAsked;
  private boolean ipAdaptersAsked;

  /**
   * @param check of their weights
   */
  Components(ModelFolder folder, PipelineSettings settings, ModelCheck check) {
    this.check = check;
    this.folder = folder;
    this.settings = settings;
  }

  /** What requests may reuse of earlier steps. Whoever asks for it must keep to it. */
  Optional<Caching> caching() {
    cachingAsked = true;
    return settings.caching();
  }

  /**
   * A network whose steps reuse features, as the settings say, which ask for it.
   *
   * @param layers the config's key that says how many blocks there are
   * @param inputs see {@link Denoiser#of}
   */
  Denoiser cachingDenoiser(
      String component, CachingNetwork network, String layers, Denoiser.Input... inputs) {
    Caching caching = caching().orElseThrow();
    if (caching.branch() >= network.cacheBranches()) {
      Config config = config(component);
      throw config.unsupported(
          layers,
          config.node().get(layers),
          "more: there are %d places to cache features at, counted from 0, and"
                  .formatted(network.cacheBranches())
              + " diffusion.cache.branch is "
              + caching.branch());
    }
    if (caching.threshold() == null) {
      return Denoiser.of(load(component, network.cachingGraph(caching.branch())), inputs)
          .caching(caching.memory());
    }
    Graph deciding =
        network
            .decidingGraph(caching.branch())
            .orElseThrow(
                () ->
                    folder
                        .config()
                        .unsupported(
                            component,
                            className(component),
                            "a transformer, whose steps can decide by a threshold what they"
                                + " reuse (diffusion.cache.threshold)"));
    return Denoiser.of(load(component, deciding), inputs).caching(caching.memory());
  }

  /** Whether the settings ask for caching and the task knows none. */
  boolean ignoresCaching() {
    return settings.caching().isPresent() && !cachingAsked;
  }

  /** Whether requests may change what a UNet does inside. Whoever asks must let them. */
  boolean unetGuidance() {
    unetGuidanceAsked = true;
    return settings.unetGuidance();
  }

  /** Whether the settings let requests change a UNet and the task does not. */
  boolean ignoresUNetGuidance() {
    return settings.unetGuidance() && !unetGuidanceAsked;
  }

  /** LoRAs that requests may name. Whoever asks for them must take them. */
  Optional<AdapterSettings> adapters() {
    adaptersAsked = true;
    return settings.adapters();
  }

  /** Whether requests are to name LoRAs and the task takes none. */
  boolean ignoresAdapters() {
    return settings.adapters().isPresent() && !adaptersAsked;
  }

  /** How many IP-Adapters the model has. Whoever asks for them must take them. */
  int ipAdapters() {
    ipAdaptersAsked = true;
    return settings.ipAdapters().size();
  }

  /** Whether the model has IP-Adapters and the task takes none. */
  boolean ignoresIpAdapters() {
    return !settings.ipAdapters().isEmpty() && !ipAdaptersAsked;
  }

  ModelFolder folder() {
    return folder;
  }

  /** The component's config file. */
  Config config(String component) {
    return folder.component(component).config();
  }

  /**
   * The config file of a component that must be of one of those classes, see {@link #requireClass}.
   */
  Config config(String component, String... classes) {
    requireClass(component, classes);
    return config(component);
  }

  /** The component's class, as model_index.json names it. */
  String className(String component) {
    return folder.component(component).className();
  }

  /**
   * Refuses a component that model_index.json declares as another class: it would be read as
   * something that it is not. What its own config says of its class does not count, as in
   * diffusers.
   */
  void requireClass(String component, String... classes) {
    ModelComponent declared = folder.component(component);
    if (!List.of(classes).contains(declared.className())) {
      throw folder
          .config()
          .unsupported(component, declared.className(), String.join(" or ", classes));
    }
  }

  Network load(String component, Graph graph) {
    return load(component, graph, settings.precision(component));
  }

  /** A network in float32, whatever the others are in, unless its own precision is asked for. */
  Network loadInFloat32(String component, Graph graph) {
    return load(
        component,
        graph,
        settings.components().precisions().getOrDefault(component, Precision.FLOAT32));
  }

  /**
   * Networks that run as one graph, in the first one's precision and on its device.
   *
   * @param component the first one, whose parameters have their own names
   * @param others components whose parameters stand behind their name and a dot
   * @throws WeightsException if one of the others is to have a precision or a device of its own
   */
  Network loadJoined(String component, List<String> others, Graph graph) {
    Map<String, TensorStore> stores = new LinkedHashMap<>();
    stores.put("", kept(component));
    for (String other : others) {
      if (settings.components().precisions().containsKey(other)
          || settings.components().devices().containsKey(other)) {
        throw new WeightsException(
            "Model %s: %s runs with %s, in one precision on one device; leave it out of diffusion.model.precisions and diffusion.model.devices"
                .formatted(folder.path(), other, component));
      }
      stores.put(other + ".", kept(other));
    }
    Network network =
        load(
            component, graph, settings.precision(component), new JoinedTensors(stores), check::add);
    opened.add(network);
    return network;
  }

  private TensorStore kept(String component) {
    TensorStore stored = folder.component(component).open();
    check.keepOpen(stored);
    return stored;
  }

  private Network load(String name, Graph graph, Precision precision) {
    ModelComponent component = folder.component(name);
    TensorStore stored = component.open();
    check.keepOpen(stored);
    Network network = load(name, graph, precision, stored, check::add);
    if (settings.components().unloads(name)) {
      // It was loaded once so that what is wrong with it is found now, and checked.
      network.close();
      network = new ReloadedNetwork(() -> reload(component, graph, precision, stored));
    }
    opened.add(network);
    return network;
  }

  /**
   * Loads a network again.
   *
   * @param checked the weights as they were opened at first, which are the ones that were checked
   */
  private Network reload(
      ModelComponent component, Graph graph, Precision precision, TensorStore checked) {
    Network network;
    try (TensorStore again = component.open()) {
      network = load(component.name(), graph, precision, again, done -> {});
    }
    try {
      checked.requireUnchanged();
      return network;
    } catch (RuntimeException e) {
      network.close();
      throw e;
    }
  }

  private Network load(
      String name,
      Graph graph,
      Precision precision,
      TensorStore stored,
      Consumer<Runnable> checks) {
    return new NetworkLoader(
            each -> engine(settings.device(name), precision, each),
            settings.device(name),
            precision,
            settings.archives(),
            checks)
        .load(
            name,
            graph,
            TensorViews.withLanguageModelNames(
                TensorViews.withTextModelPrefix(TensorViews.withCurrentAttentionNames(stored))));
  }

  private Engine engine(DeviceSpec device, Precision precision, Graph graph) {
    Engine engine = settings.engine(device, precision, graph);
    engines.add(engine.version());
    return engine;
  }

  /**
   * The engines of the networks that are open, with their versions, such as {@code libtorch 2.7.1}.
   */
  String engines() {
    return String.join(" + ", engines);
  }

  @Override
  public void close() {
    opened.forEach(Network::close);
  }
}
