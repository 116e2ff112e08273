/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;

/** A model folder's networks on a device; closes all that it opened. */
final class Components implements AutoCloseable {
  private final ModelFolder folder;
  private final PipelineSettings settings;
  private final SortedSet<String> engines = new TreeSet<>();
  private final ModelCheck check;
  private final List<Network> opened = new ArrayList<>();

  /**
   * @param check of their weights
   */
  Components(ModelFolder folder, PipelineSettings settings, ModelCheck check) {
    this.check = check;
    this.folder = folder;
    this.settings = settings;
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
    return load(component, graph, settings.precision());
  }

  /** A network in float32, whatever the others are in. */
  Network loadInFloat32(String component, Graph graph) {
    return load(component, graph, Precision.FLOAT32);
  }

  private Network load(String name, Graph graph, Precision precision) {
    ModelComponent component = folder.component(name);
    TensorStore stored = component.open();
    check.keepOpen(stored);
    TensorStore weights =
        TensorViews.withTextModelPrefix(TensorViews.withCurrentAttentionNames(stored));
    Network network =
        new NetworkLoader(
                each -> engine(precision, each),
                settings.device(),
                precision,
                settings.archives(),
                check::add)
            .load(name, graph, weights);
    opened.add(network);
    return network;
  }

  private Engine engine(Precision precision, Graph graph) {
    Engine engine = settings.engine(precision, graph);
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
