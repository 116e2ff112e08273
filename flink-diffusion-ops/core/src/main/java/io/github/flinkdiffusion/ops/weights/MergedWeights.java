/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A component's weights with LoRAs merged in when they are opened. */
final class MergedWeights implements ComponentWeights {
  private static final Logger LOG = LoggerFactory.getLogger(MergedWeights.class);

  /** Names in a message; files may have hundreds. */
  private static final int NAMED = 3;

  private final ModelComponent component;
  private final List<LoraFile> loras;

  private MergedWeights(ModelComponent component, List<LoraFile> loras) {
    this.component = component;
    this.loras = loras;
  }

  /**
   * The components with LoRAs in them. What a LoRA has for layers or components that the model does
   * not have is left out with a warning, as diffusers does; one that changes nothing at all is
   * refused.
   */
  static SortedMap<String, ModelComponent> merge(
      SortedMap<String, ModelComponent> components, List<Lora> loras, FileDigests digests) {
    List<LoraFile> files = loras.stream().map(lora -> LoraFile.open(lora, digests)).toList();
    for (LoraFile file : files) {
      check(file, components);
    }
    SortedMap<String, ModelComponent> merged = new TreeMap<>(components);
    for (ModelComponent component : components.values()) {
      List<LoraFile> own =
          files.stream()
              .filter(file -> file.components(components.keySet()).contains(component.name()))
              .toList();
      if (!own.isEmpty()) {
        merged.put(component.name(), component.withWeights(new MergedWeights(component, own)));
      }
    }
    return merged;
  }

  private static void check(LoraFile file, SortedMap<String, ModelComponent> components) {
    int matched = 0;
    List<String> unmatched = new ArrayList<>();
    List<String> absent = new ArrayList<>();
    for (String name : file.components(components.keySet())) {
      ModelComponent component = components.get(name);
      if (component == null) {
        absent.add(name);
        continue;
      }
      try (TensorStore weights = current(component)) {
        matched += file.changes(component, weights, unmatched).size();
      }
    }
    List<String> named = unmatched.subList(0, Math.min(NAMED, unmatched.size()));
    if (matched == 0) {
      throw new AddedFileException(
          "LoRA %s changes no layer of this model; it was made for another kind%s%s"
              .formatted(
                  file.lora().file(),
                  named.isEmpty() ? "" : ": there is no layer for " + named,
                  absent.isEmpty() ? "" : ", and no component " + absent));
    }
    if (!unmatched.isEmpty() || !absent.isEmpty()) {
      LOG.warn(
          "LoRA {}: {} layers are merged; {} that the model does not have are left out, such as {};"
              + " components that it does not have: {}",
          file.lora().file(),
          matched,
          unmatched.size(),
          named,
          absent);
    }
  }

  /** Under the names that LoRAs are trained with. */
  static TensorStore current(ModelComponent component) {
    return TensorViews.withTextModelPrefix(TensorViews.withCurrentAttentionNames(component.open()));
  }

  @Override
  public TensorStore open(FileDigests unused) {
    TensorStore weights = current(component);
    try {
      List<MergedTensors.Term> terms = new ArrayList<>();
      for (LoraFile file : loras) {
        file.changes(component, weights, new ArrayList<>())
            .forEach(change -> terms.add(new MergedTensors.Term(file, change)));
      }
      return new MergedTensors(weights, terms);
    } catch (RuntimeException e) {
      weights.close();
      throw e;
    }
  }

  @Override
  public List<Path> files() {
    return component.weightFiles();
  }
}
