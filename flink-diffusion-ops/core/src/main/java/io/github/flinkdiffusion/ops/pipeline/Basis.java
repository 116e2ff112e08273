package io.github.flinkdiffusion.ops.pipeline;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What decides an image besides its request: names and values. It is part of every saved
 * trajectory, and of the audit record; a trajectory that was begun on another basis begins anew,
 * because half a way on one and half on another leads to no image of either.
 *
 * <p>Nothing in it is measured at run time, or differs between two machines of a kind.
 *
 * <p><b>Adding a name.</b> What is there keeps its name and the form of its value, since saved
 * trajectories are compared with it. A new name is absent where its value is what held before the
 * name was known, e.g. a caching plan where nothing is cached; so earlier trajectories go on.
 *
 * @param values by name
 */
public record Basis(SortedMap<String, String> values) {
  /** {@link ModelInfo#digest}, which counts the content of LoRAs, too. */
  public static final String DIGEST = "digest";

  /** The pipeline's class in diffusers. */
  public static final String PIPELINE = "pipeline";

  /** Of the networks. */
  public static final String PRECISION = "precision";

  /** {@code cpu} or {@code gpu}. */
  public static final String DEVICE = "device";

  /** What runs the networks, with its version. */
  public static final String ENGINE = "engine";

  /** Which of the folder's files the weights are from; absent for those without a variant. */
  public static final String VARIANT = "variant";

  /** {@code true} or {@code false}; absent where the model folder has none. */
  public static final String SAFETY_CHECKER = "safetyChecker";

  /** {@code true} or {@code false}. */
  public static final String WATERMARK = "watermark";

  /** Names and scales in their order; absent where there are none. */
  public static final String LORAS = "loras";

  public Basis {
    values = Collections.unmodifiableSortedMap(new TreeMap<>(values));
    if (!values.containsKey(DIGEST)) {
      throw new IllegalArgumentException("What decides an image includes the model's digest.");
    }
  }

  /** A model's, and what it was loaded as. */
  static Basis of(String digest, Map<String, String> loadedAs) {
    SortedMap<String, String> values = new TreeMap<>(loadedAs);
    values.put(DIGEST, digest);
    return new Basis(values);
  }

  /** All that is known of what earlier versions saved. */
  public static Basis ofDigest(String digest) {
    return of(digest, Map.of());
  }

  /** The model's digest. */
  public String digest() {
    return values.get(DIGEST);
  }

  /**
   * What is not the same now. Of a basis that has the digest alone, only that is compared.
   *
   * @param saved when the trajectory was begun
   * @return for each name that differs, in order, a text such as {@code precision (FLOAT32, now
   *     BFLOAT16)}; empty when the trajectory may go on
   */
  public List<String> differencesFrom(Basis saved) {
    SortedSet<String> names = new TreeSet<>(saved.values.keySet());
    if (saved.values.size() > 1) {
      names.addAll(values.keySet());
    }
    List<String> differences = new ArrayList<>();
    for (String name : names) {
      String before = saved.values.get(name);
      String now = values.get(name);
      if (!Objects.equals(before, now)) {
        differences.add(
            "%s (%s, now %s)"
                .formatted(
                    name,
                    Objects.requireNonNullElse(before, "absent"),
                    Objects.requireNonNullElse(now, "absent")));
      }
    }
    return differences;
  }
}
