/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.batching.BatchingException;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.evaluation.ClipEmbeddings;
import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.weights.Sha256;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.configuration.ReadableConfig;

/**
 * Finds texts that are close to listed concepts: by the cosine of their embeddings, which a CLIP of
 * the user's makes on the CPU. Each concept has a limit of its own, because cosines of unrelated
 * texts are far from 0 and differ from concept to concept.
 *
 * <p>Calls exclude each other. The CLIP is in memory from the first {@link #open} to the last
 * {@link #close}; nothing is found before and after, for a text that was not compared must not
 * pass.
 */
final class PromptConcepts implements Serializable {
  private static final long serialVersionUID = 1L;

  private static final int MOST_CONCEPTS = 1_000;
  private static final Pattern LINE = Pattern.compile("(\\S+)\\s+(\\S.*)");

  /** Texts whose results are kept, by their digests: the same memory however long they are. */
  static final int KEPT = 1_024;

  /** Null for no concepts, as the folder then is. */
  private final String file;

  private final String folder;
  private transient Loaded loaded;
  private transient int users;

  private PromptConcepts(String file, String folder) {
    this.file = file;
    this.folder = folder;
  }

  /**
   * @throws DiffusionException if one option is there without the other
   */
  static PromptConcepts of(ReadableConfig config) {
    String file = config.get(DiffusionOptions.SAFETY_CONCEPTS_FILE);
    String folder = config.get(DiffusionOptions.SAFETY_CLIP_FOLDER);
    if ((file == null) != (folder == null)) {
      throw new DiffusionException(
          "%s and %s belong together: set both, or neither"
              .formatted(
                  DiffusionOptions.SAFETY_CONCEPTS_FILE.key(),
                  DiffusionOptions.SAFETY_CLIP_FOLDER.key()));
    }
    return new PromptConcepts(file, folder);
  }

  /**
   * @param line in the file, from 1
   * @param limit the least cosine that is too close
   */
  record Concept(int line, double limit, String text) {}

  /** What a text is too close to. */
  record Found(Concept concept, double cosine) {}

  /** The CLIP, and what it says. */
  private static final class Loaded implements AutoCloseable {
    private final List<Concept> concepts;
    private final ClipEmbeddings clip;
    private final double[][] directions;
    private final Map<String, Optional<Found>> kept =
        new LinkedHashMap<>(16, 0.75f, true) {
          private static final long serialVersionUID = 1L;

          @Override
          protected boolean removeEldestEntry(Map.Entry<String, Optional<Found>> eldest) {
            return size() > KEPT;
          }
        };

    Loaded(List<Concept> concepts, ClipEmbeddings clip) {
      this.concepts = concepts;
      this.clip = clip;
      float[][] embeddings = clip.texts(concepts.stream().map(Concept::text).toList());
      this.directions = new double[embeddings.length][];
      for (int i = 0; i < embeddings.length; i++) {
        Concept concept = concepts.get(i);
        directions[i] =
            direction(embeddings[i])
                .orElseThrow(
                    () ->
                        new DiffusionException(
                            "The embedding of '%s' has no direction".formatted(concept.text())));
      }
    }

    /** One for each concept. */
    double[] cosines(String text) {
      double[] direction =
          direction(clip.texts(List.of(text))[0])
              .orElseThrow(
                  () ->
                      new InvalidRequestException(
                          "The prompt's embedding has no direction, so it cannot be compared with concepts (%s)."
                              .formatted(DiffusionOptions.SAFETY_CONCEPTS_FILE.key())));
      double[] cosines = new double[directions.length];
      for (int i = 0; i < cosines.length; i++) {
        for (int j = 0; j < direction.length; j++) {
          cosines[i] += direction[j] * directions[i][j];
        }
      }
      return cosines;
    }

    Optional<Found> find(String text) {
      String key = Sha256.hex(text.getBytes(StandardCharsets.UTF_8));
      Optional<Found> known = kept.get(key);
      if (known == null) {
        known = compare(text);
        kept.put(key, known);
      }
      return known;
    }

    private Optional<Found> compare(String text) {
      double[] cosines = cosines(text);
      Found closest = null;
      for (int i = 0; i < cosines.length; i++) {
        if (cosines[i] >= concepts.get(i).limit()
            && (closest == null || cosines[i] > closest.cosine())) {
          closest = new Found(concepts.get(i), cosines[i]);
        }
      }
      return Optional.ofNullable(closest);
    }

    private static Optional<double[]> direction(float[] embedding) {
      double squares = 0;
      for (float each : embedding) {
        squares += (double) each * each;
      }
      if (!(squares > 0 && Double.isFinite(squares))) {
        return Optional.empty();
      }
      double[] direction = new double[embedding.length];
      for (int i = 0; i < direction.length; i++) {
        direction[i] = embedding[i] / Math.sqrt(squares);
      }
      return Optional.of(direction);
    }

    @Override
    public void close() {
      clip.close();
    }
  }

  boolean areListed() {
    return file != null;
  }

  /**
   * Loads the CLIP and embeds the concepts, if there are to be any, and no other user has.
   *
   * @throws DiffusionException naming the option and the file or folder that cannot be used
   */
  synchronized void open() {
    if (areListed() && users == 0) {
      loaded = load(read());
    }
    users++;
  }

  private List<Concept> read() {
    List<Concept> concepts = new ArrayList<>();
    for (ListedLine line :
        ListedLine.read(
            file, DiffusionOptions.SAFETY_CONCEPTS_FILE, "list of concepts", MOST_CONCEPTS)) {
      Matcher parts = LINE.matcher(line.text());
      double limit = parts.matches() ? limit(parts.group(1)) : Double.NaN;
      if (!(limit > 0 && limit <= 1)) {
        throw new DiffusionException(
            "Line %d of the list of concepts %s (%s) is '%s'; expected a limit above 0, up to 1, and a text, such as '0.85 a fight with knives'"
                .formatted(
                    line.number(), file, DiffusionOptions.SAFETY_CONCEPTS_FILE.key(), line.text()));
      }
      concepts.add(new Concept(line.number(), limit, parts.group(2)));
    }
    if (concepts.isEmpty()) {
      throw new DiffusionException(
          "The list of concepts %s (%s) has no concept"
              .formatted(file, DiffusionOptions.SAFETY_CONCEPTS_FILE.key()));
    }
    return concepts;
  }

  private static double limit(String text) {
    try {
      return Double.parseDouble(text);
    } catch (NumberFormatException e) {
      return Double.NaN;
    }
  }

  private Loaded load(List<Concept> concepts) {
    ClipEmbeddings clip = null;
    try {
      clip = ClipEmbeddings.open(Path.of(folder), DeviceSpec.CPU);
      return new Loaded(concepts, clip);
    } catch (FlinkDiffusionException e) {
      if (clip != null) {
        clip.close();
      }
      throw new DiffusionException(
          "Cannot screen prompts by the CLIP in %s (%s): %s"
              .formatted(folder, DiffusionOptions.SAFETY_CLIP_FOLDER.key(), e.getMessage()),
          e);
    }
  }

  /**
   * The closest of the concepts that the text is too close to.
   *
   * @throws BatchingException if nobody has this open
   */
  synchronized Optional<Found> find(String text) {
    return areListed() ? requireOpen().find(text) : Optional.empty();
  }

  /** Of a text with each concept, in the order of the list. */
  synchronized double[] cosines(String text) {
    return requireOpen().cosines(text);
  }

  /** Results that are kept. */
  synchronized int kept() {
    return requireOpen().kept.size();
  }

  private Loaded requireOpen() {
    if (loaded == null) {
      throw new BatchingException(
          "The operator or function was closed while the request was in progress.");
    }
    return loaded;
  }

  /** Ends one {@link #open}. */
  synchronized void close() {
    users--;
    if (users == 0 && loaded != null) {
      loaded.close();
      loaded = null;
    }
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof PromptConcepts that
        && Objects.equals(file, that.file)
        && Objects.equals(folder, that.folder);
  }

  @Override
  public int hashCode() {
    return Objects.hash(file, folder);
  }
}
