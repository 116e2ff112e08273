/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * A folder as transformers writes it for one model: {@code config.json}, weights, and the files of
 * its tokenizer and its image processor, all beside each other. It opens as a {@link ModelFolder}
 * whose class is the model's, with the components {@code model}, {@code tokenizer} and {@code
 * image_processor}, which share the folder.
 */
final class TransformersFolder {
  private static final String CONFIG = "config.json";
  private static final String LIBRARY = "transformers";

  private TransformersFolder() {}

  /** Whether a folder is one: it has a config of a model, and no {@code model_index.json}. */
  static boolean isOne(Path folder) {
    return Files.isRegularFile(folder.resolve(CONFIG))
        && !Files.exists(folder.resolve(ModelIndex.FILE))
        && Config.read(folder.resolve(CONFIG)).has("architectures");
  }

  /** A vocabulary that the digest of such a folder counts, too. */
  static Optional<Path> vocabulary(Path model, Path component) {
    return Optional.of(component.resolve("vocab.txt"))
        .filter(file -> model.equals(component) && Files.isRegularFile(file));
  }

  static ModelFolder open(Path folder, Optional<String> variant) {
    Config config = Config.read(folder.resolve(CONFIG));
    JsonNode architectures = config.node().get("architectures");
    if (!architectures.isArray()
        || architectures.size() != 1
        || !architectures.get(0).isTextual()) {
      throw config.unsupported("architectures", architectures, "the name of one class");
    }
    String name = architectures.get(0).textValue();
    FileDigests digests = new FileDigests();
    SortedMap<String, ModelComponent> components = new TreeMap<>();
    WeightFiles weights = WeightFiles.find(folder, LIBRARY, variant.orElse(""));
    if (variant.isPresent() && !weights.chosenVariant().equals(variant.get())) {
      throw new WeightsException(
          "Model folder %s has no weights of variant '%s'".formatted(folder, variant.get()));
    }
    components.put(
        "model", component("model", name, folder, Optional.of(config), weights, digests));
    WeightFiles none = WeightFiles.none(folder);
    Path tokenizer = folder.resolve("tokenizer_config.json");
    if (Files.isRegularFile(tokenizer)) {
      Config own = Config.read(tokenizer);
      components.put(
          "tokenizer",
          component(
              "tokenizer",
              own.string("tokenizer_class", "unknown"),
              folder,
              Optional.of(own),
              none,
              digests));
    }
    Path processor = folder.resolve("preprocessor_config.json");
    if (Files.isRegularFile(processor)) {
      Config own = Config.read(processor);
      components.put(
          "image_processor",
          component(
              "image_processor",
              own.string("image_processor_type", own.string("feature_extractor_type", "unknown")),
              folder,
              Optional.of(own),
              none,
              digests));
    }
    ObjectNode index = JsonNodeFactory.instance.objectNode().put("_class_name", name);
    return ModelFolder.of(folder, Config.of(config.source(), index), components, digests);
  }

  private static ModelComponent component(
      String name,
      String className,
      Path folder,
      Optional<Config> config,
      WeightFiles weights,
      FileDigests digests) {
    return new ModelComponent(
        name, LIBRARY, className, Optional.of(folder), config, weights, digests);
  }
}
