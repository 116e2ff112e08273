/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
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
import java.util.function.Supplier;
import org.apache.flink.annotation.Internal;

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
 */
@Internal
public final class Basis {
  /** {@link ModelInfo#digest}, which counts the content of LoRAs, too. */
  public static final String DIGEST = "digest";

  /** The pipeline's class in diffusers. */
  public static final String PIPELINE = "pipeline";

  /** Of the networks. */
  public static final String PRECISION = "precision";

  /**
   * Components whose precision was asked for, or that are on another kind of device, such as {@code
   * text_encoder_3=BFLOAT16 on cpu;vae=FLOAT32 on gpu}; absent where all are as the model.
   */
  public static final String COMPONENTS = "components";

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

  /** Names of their files in their order; absent where there are none. */
  public static final String IP_ADAPTERS = "ipAdapters";

  /** {@code branch N}, see {@link Caching}; absent where no request may reuse features. */
  public static final String CACHING = "caching";

  private final SortedMap<String, String> loadedAs;
  private final Supplier<String> digest;

  /**
   * @param values by name, the digest among them
   */
  public Basis(SortedMap<String, String> values) {
    this(values.get(DIGEST), values);
    if (!values.containsKey(DIGEST)) {
      throw new IllegalArgumentException("What decides an image includes the model's digest.");
    }
  }

  private Basis(String digest, Map<String, String> loadedAs) {
    this(() -> digest, loadedAs);
  }

  private Basis(Supplier<String> digest, Map<String, String> loadedAs) {
    this.digest = digest;
    this.loadedAs = new TreeMap<>(loadedAs);
  }

  /** A model's, and what it was loaded as. */
  static Basis of(String digest, Map<String, String> loadedAs) {
    return new Basis(digest, loadedAs);
  }

  /** Of a model whose digest is still computed. */
  static Basis of(Supplier<String> digest, Map<String, String> loadedAs) {
    return new Basis(digest, loadedAs);
  }

  /** By name. Waits for a digest that is still computed, as {@link ModelInfo#digest} does. */
  public SortedMap<String, String> values() {
    SortedMap<String, String> values = new TreeMap<>(loadedAs);
    values.put(DIGEST, digest());
    return Collections.unmodifiableSortedMap(values);
  }

  /** All that is known of what earlier versions saved. */
  public static Basis ofDigest(String digest) {
    return of(digest, Map.of());
  }

  /** The model's digest. */
  public String digest() {
    return digest.get();
  }

  /**
   * What is not the same now. Of a basis that has the digest alone, only that is compared.
   *
   * @param saved when the trajectory was begun
   * @return for each name that differs, in order, a text such as {@code precision (FLOAT32, now
   *     BFLOAT16)}; empty when the trajectory may go on
   */
  public List<String> differencesFrom(Basis saved) {
    SortedMap<String, String> earlier = saved.values();
    SortedMap<String, String> current = values();
    SortedSet<String> names = new TreeSet<>(earlier.keySet());
    if (earlier.size() > 1) {
      names.addAll(current.keySet());
    }
    List<String> differences = new ArrayList<>();
    for (String name : names) {
      String before = earlier.get(name);
      String now = current.get(name);
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

  @Override
  public boolean equals(Object other) {
    return other instanceof Basis that && values().equals(that.values());
  }

  @Override
  public int hashCode() {
    return values().hashCode();
  }

  @Override
  public String toString() {
    return values().toString();
  }
}
