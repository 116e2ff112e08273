/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** What {@code model_index.json} names, and which small files of a component are read. */
final class ModelIndex {
  static final String FILE = "model_index.json";

  /** Classes of which the index names the first alone. */
  private static final List<String> SEVERAL = List.of("MultiControlNetModel", "MultiAdapter");

  /** Files that may be a component's config; its class says which one is. */
  private static final List<String> CONFIGS =
      List.of(
          "config.json",
          "scheduler_config.json",
          "tokenizer_config.json",
          "preprocessor_config.json");

  /** Further files whose content changes what a component does. */
  private static final List<String> OTHER_INPUTS =
      List.of(
          "added_tokens.json",
          "merges.txt",
          "special_tokens_map.json",
          "tokenizer.json",
          "vocab.json");

  private ModelIndex() {}

  /**
   * The index of a folder.
   *
   * @throws WeightsException if there is none
   */
  static Config read(Path path) {
    if (!Files.isDirectory(path)) {
      throw new WeightsException("Model folder %s does not exist".formatted(path));
    }
    Path index = path.resolve(FILE);
    if (Files.isRegularFile(index)) {
      return Config.read(index).withoutUnsetKeys();
    }
    List<String> files = WeightFiles.list(path);
    Optional<String> single =
        files.stream().filter(file -> file.matches(".*\\.(ckpt|safetensors|pt|bin)")).findFirst();
    throw new WeightsException(
        "Model folder %s has no %s%s"
            .formatted(
                path,
                FILE,
                single
                    .map(
                        file ->
                            ", but a single-file checkpoint: if that is the model, give its own path, %s"
                                .formatted(path.resolve(file)))
                    .orElse(
                        "; expected a folder in diffusers' layout, as save_pretrained writes it")));
  }

  /**
   * An index's components, by name. Of several ControlNets or T2I-Adapters, it names the first
   * alone; the others' folders are numbered.
   *
   * @param isFolder whether the model has a sub-folder of a name
   */
  static SortedMap<String, JsonNode> components(Config index, Predicate<String> isFolder) {
    SortedMap<String, JsonNode> found = new TreeMap<>();
    for (Map.Entry<String, JsonNode> field : index.node().properties()) {
      if (isComponent(index, field.getKey(), field.getValue())) {
        found.put(field.getKey(), field.getValue());
        if (SEVERAL.contains(field.getValue().get(1).textValue())) {
          for (int i = 1; isFolder.test(field.getKey() + "_" + i); i++) {
            found.put(field.getKey() + "_" + i, field.getValue());
          }
        }
      }
    }
    return found;
  }

  /** Components are {@code [library, class]}; other keys are the pipeline's own settings. */
  private static boolean isComponent(Config index, String name, JsonNode pair) {
    if (name.startsWith("_") || !pair.isArray() || pair.size() != 2 || !pair.get(1).isTextual()) {
      return false;
    }
    if (!name.matches("\\w+")) {
      throw index.unsupported(name, pair, "component names of letters, digits and '_'");
    }
    return true;
  }

  /** Whether a component's file of that name is read, other than for its weights. */
  static boolean isSmallFile(String name) {
    return CONFIGS.contains(name) || OTHER_INPUTS.contains(name);
  }

  /**
   * The file that is the config of a component of that class, which its library alone decides: a
   * folder may hold several of them.
   */
  static String configOf(String className) {
    if (className.contains("Scheduler")) {
      return "scheduler_config.json";
    }
    if (className.contains("Tokenizer")) {
      return "tokenizer_config.json";
    }
    return className.contains("Processor") || className.contains("FeatureExtractor")
        ? "preprocessor_config.json"
        : "config.json";
  }

  /** A component's files of those names that are there. */
  static Stream<Path> smallFiles(Path folder) {
    return Stream.concat(CONFIGS.stream(), OTHER_INPUTS.stream())
        .map(folder::resolve)
        .filter(Files::isRegularFile);
  }
}
