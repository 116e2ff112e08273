/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A LoRA that requests may ask for by name. Opening it reads the file's header; the factors are
 * read each time they are asked for, and nothing stays open between.
 */
@Internal
public final class AllowedLora {
  private static final Logger LOG = LoggerFactory.getLogger(AllowedLora.class);

  private final String name;
  private final Path file;
  private final ModelFolder model;
  private final FileDigests digests;

  /** By network, then by the layer's weight. */
  private final SortedMap<String, SortedMap<String, Integer>> ranks;

  /** By network: weights whose rows get another length (DoRA). */
  private final Map<String, Set<String>> lengths;

  private String digest;

  private AllowedLora(
      String name,
      Path file,
      ModelFolder model,
      FileDigests digests,
      SortedMap<String, SortedMap<String, Integer>> ranks,
      Map<String, Set<String>> lengths) {
    this.lengths = lengths;
    this.name = name;
    this.file = file;
    this.model = model;
    this.digests = digests;
    this.ranks = ranks;
  }

  /**
   * Factors of one layer, whose product is added to its weight.
   *
   * @param weight name of the layer's weight
   * @param rank of both
   * @param down [rank, elements of a row of the weight]
   * @param up [rows of the weight, rank], with the file's own factor alpha / rank in it
   * @param magnitudes the length of each row of the sum (DoRA); empty leaves it as it is
   */
  public record Factors(
      String weight, int rank, float[] down, float[] up, Optional<float[]> magnitudes) {}

  /**
   * @param networks the only components that it may change
   * @throws WeightsException if the file is no LoRA of these
   */
  public static AllowedLora open(String name, Path file, ModelFolder model, Set<String> networks) {
    FileDigests digests = new FileDigests();
    LoraFile lora = open(name, file, digests);
    try (TensorStore opened = lora.tensors()) {
      List<String> unmatched = new ArrayList<>();
      SortedMap<String, SortedMap<String, Integer>> ranks = new TreeMap<>();
      Map<String, Set<String>> lengths = new TreeMap<>();
      for (String network : lora.components(Set.copyOf(model.componentNames()))) {
        if (!networks.contains(network)) {
          throw new AddedFileException(
              "LoRA %s (%s) changes %s; LoRAs that requests name may change %s alone. Merge it when the model is loaded (diffusion.model.loras), or leave these layers out"
                  .formatted(name, file, network, String.join(", ", new TreeSet<>(networks))));
        }
        Set<String> changed = new TreeSet<>();
        SortedMap<String, Integer> own =
            ranks(name, lora, opened, model.component(network), changed, unmatched);
        lengths.put(network, Collections.unmodifiableSet(changed));
        if (!own.isEmpty()) {
          ranks.put(network, own);
        }
      }
      if (ranks.isEmpty()) {
        throw new AddedFileException(
            "LoRA %s (%s) changes no layer of this model; it was made for another kind"
                .formatted(name, file));
      }
      if (!unmatched.isEmpty()) {
        LOG.warn(
            "LoRA {} ({}): {} layers that the model does not have are left out, such as {}",
            name,
            file,
            unmatched.size(),
            unmatched.get(0));
      }
      return new AllowedLora(
          name, file, model, digests, Collections.unmodifiableSortedMap(ranks), lengths);
    } finally {
      digests.release();
    }
  }

  private static LoraFile open(String name, Path file, FileDigests digests) {
    if (!Files.exists(file)) {
      throw new AddedFileException(
          "LoRA %s (%s) does not exist; it must be a file on every task manager"
              .formatted(name, file));
    }
    try {
      return LoraFile.open(new Lora(file, 1), digests);
    } catch (AddedFileException e) {
      throw new AddedFileException("LoRA %s: %s".formatted(name, e.getMessage()), e);
    }
  }

  private static SortedMap<String, Integer> ranks(
      String name,
      LoraFile lora,
      TensorStore opened,
      ModelComponent component,
      Set<String> lengths,
      List<String> unmatched) {
    Path file = lora.lora().file();
    SortedMap<String, Integer> ranks = new TreeMap<>();
    try (TensorStore weights = MergedWeights.current(component)) {
      for (LoraFile.Change change : lora.changes(component, weights, unmatched)) {
        if (change.magnitude().isPresent()) {
          lengths.add(change.weight());
        }
        int rank = Math.toIntExact(opened.info(change.down()).shape()[0]);
        if (ranks.putIfAbsent(change.weight(), rank) != null) {
          throw new AddedFileException(
              "LoRA %s (%s) changes '%s' twice".formatted(name, file, change.weight()));
        }
      }
    }
    return Collections.unmodifiableSortedMap(ranks);
  }

  public String name() {
    return name;
  }

  /** Whether it changes a network. */
  public boolean changes(String network) {
    return ranks.containsKey(network);
  }

  /** The ranks of its layers of a network, by the names of their weights. */
  public SortedMap<String, Integer> ranks(String network) {
    return ranks.getOrDefault(network, Collections.emptySortedMap());
  }

  /** Weights of a network whose rows get another length (DoRA). */
  public Set<String> lengths(String network) {
    return lengths.getOrDefault(network, Set.of());
  }

  /** The network's own weight that a layer has, without any LoRA. */
  public float[] weight(String network, String name) {
    try (TensorStore weights = MergedWeights.current(model.component(network))) {
      return weights.floats(name);
    }
  }

  /** The greatest one of its layers' of a network that it changes. */
  public int rank(String network) {
    return Collections.max(ranks(network).values());
  }

  /**
   * SHA-256 of the file, hexadecimal: of the first reading, which all later ones must equal.
   *
   * @throws WeightsException if the file cannot be read any more
   */
  public synchronized String digest() {
    if (digest == null) {
      try (TensorStore tensors = LoraFile.open(new Lora(file, 1), digests).tensors()) {
        digest = tensors.digest();
      } finally {
        digests.release();
      }
    }
    return digest;
  }

  /**
   * Reads the factors of a network's layers.
   *
   * @throws WeightsException if the file cannot be read any more, or is not the same one
   */
  public List<Factors> factors(String network) {
    ModelComponent component = model.component(network);
    String expected = digest();
    LoraFile lora = LoraFile.open(new Lora(file, 1), digests);
    try (TensorStore tensors = lora.tensors();
        TensorStore weights = MergedWeights.current(component)) {
      if (!tensors.digest().equals(expected)) {
        throw new AddedFileException(
            "LoRA %s (%s) was replaced while it was in use; give a new file a name of its own"
                .formatted(name, file));
      }
      List<Factors> all = new ArrayList<>();
      for (LoraFile.Change change : lora.changes(component, weights, new ArrayList<>())) {
        all.add(factors(change, tensors, weights.info(change.weight()).shape()));
      }
      return all;
    } finally {
      digests.release();
    }
  }

  private static Factors factors(LoraFile.Change change, TensorStore tensors, long[] weight) {
    float[] down = tensors.floats(change.down());
    float[] up = tensors.floats(change.up());
    int rank = Math.toIntExact(tensors.info(change.down()).shape()[0]);
    int rows = Math.toIntExact(weight[0]);
    int upRows = up.length / rank;
    float[] scaled = new float[rows * rank];
    for (int row = 0; row < rows; row++) {
      int from = (change.firstRow() + row) % upRows * rank;
      for (int r = 0; r < rank; r++) {
        scaled[row * rank + r] = (float) (change.alphaOverRank() * up[from + r]);
      }
    }
    Optional<float[]> magnitudes =
        change
            .magnitude()
            .map(
                name -> {
                  float[] all = tensors.floats(name);
                  float[] own = new float[rows];
                  for (int row = 0; row < rows; row++) {
                    own[row] = all[(change.firstRow() + row) % all.length];
                  }
                  return own;
                });
    return new Factors(change.weight(), rank, down, scaled, magnitudes);
  }

  @Override
  public String toString() {
    return name + " (" + file + ")";
  }
}
