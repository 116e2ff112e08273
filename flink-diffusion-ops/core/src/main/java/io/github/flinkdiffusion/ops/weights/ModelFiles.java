/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Predicate;
import org.apache.flink.annotation.Internal;

/**
 * Which of a repository's files {@link ModelFolder#open} and its components read, decided before
 * they are there. Paths are relative to the model's folder, with {@code /}.
 *
 * @param small configs, vocabularies and the indexes of sharded weights
 * @param indexes those of the small files that name {@link #shards}
 * @param weights safetensors files that are not named by an index
 * @param pickled for each component without safetensors, its pickled files, which are never read
 */
@Internal
public record ModelFiles(
    SortedSet<String> small,
    SortedSet<String> indexes,
    SortedSet<String> weights,
    SortedMap<String, SortedSet<String>> pickled) {
  /** The file that everything else follows from. */
  public static final String INDEX = ModelIndex.FILE;

  /** Beside the index of a model that knows few words: those words, for people. */
  private static final String WORDS = "vocabulary.json";

  /**
   * @param index the repository's {@code model_index.json}
   * @param paths all files of the repository
   * @param variant weights to prefer, such as {@code fp16}
   * @param without components that nobody will use
   * @param configsAlone components whose weights nobody will use
   * @throws WeightsException if the index is malformed, or no component has that variant
   */
  public static ModelFiles of(
      Path index,
      Collection<String> paths,
      Optional<String> variant,
      Set<String> without,
      Set<String> configsAlone) {
    Config config = Config.read(index).withoutUnsetKeys();
    SortedSet<String> small = new TreeSet<>(List.of(INDEX));
    if (paths.contains(WORDS)) {
      small.add(WORDS);
    }
    SortedSet<String> indexes = new TreeSet<>();
    SortedSet<String> weights = new TreeSet<>();
    SortedMap<String, SortedSet<String>> pickled = new TreeMap<>();
    SortedSet<String> variants = new TreeSet<>();
    Predicate<String> isFolder =
        name -> paths.stream().anyMatch(path -> path.startsWith(name + "/"));
    for (Map.Entry<String, JsonNode> field : ModelIndex.components(config, isFolder).entrySet()) {
      String name = field.getKey();
      if (without.contains(name)) {
        continue;
      }
      String folder = name + "/";
      List<String> files =
          paths.stream()
              .filter(path -> path.startsWith(folder) && path.indexOf('/', folder.length()) < 0)
              .map(path -> path.substring(folder.length()))
              .toList();
      files.stream().filter(ModelIndex::isSmallFile).forEach(file -> small.add(folder + file));
      if (configsAlone.contains(name)) {
        continue;
      }
      WeightFiles.Choice choice =
          WeightFiles.choose(files, field.getValue().get(0).asText(), variant.orElse(""));
      variants.addAll(choice.variants());
      choice
          .file()
          .map(folder::concat)
          .ifPresentOrElse(
              file -> {
                if (WeightFiles.isIndex(file)) {
                  small.add(file);
                  indexes.add(file);
                } else {
                  weights.add(file);
                }
              },
              () -> {
                if (!choice.pickled().isEmpty()) {
                  pickled.put(name, choice.pickled());
                }
              });
    }
    if (variant.isPresent() && !variants.contains(variant.get())) {
      variants.remove("");
      throw new WeightsException(
          "No component of the model has weights of variant '%s'; it has %s (diffusion.model.variant)"
              .formatted(
                  variant.get(),
                  variants.isEmpty() ? "no variants" : "variants " + String.join(", ", variants)));
    }
    return new ModelFiles(small, indexes, weights, pickled);
  }

  /**
   * The shards that an index of weights names.
   *
   * @param model folder of the model
   * @param index one of {@link #indexes}, which is there
   * @throws WeightsException if it is malformed, or names a file that is not beside it
   */
  public static SortedSet<String> shards(Path model, String index) {
    String folder = index.substring(0, index.lastIndexOf('/') + 1);
    SortedSet<String> shards = new TreeSet<>();
    ShardedTensors.files(model.resolve(index))
        .forEach(shard -> shards.add(folder + shard.getFileName()));
    return shards;
  }
}
