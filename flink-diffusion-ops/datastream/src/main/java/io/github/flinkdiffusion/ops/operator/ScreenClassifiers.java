/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.ImageClassifier;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** The classifiers of one task, loaded. Not thread-safe. */
final class ScreenClassifiers implements AutoCloseable {
  private record Loaded(ScreenClassifier how, ImageClassifier network) {}

  private final List<Loaded> loaded = new ArrayList<>();

  /**
   * What was seen in an image.
   *
   * @param scores the share of each class that has a limit, as text, by {@code classifier.class}
   * @param found what is at its limit or above, the surest first; empty if nothing is
   */
  record Seen(Map<String, String> scores, Optional<String> found) {}

  /**
   * Loads them on the CPU.
   *
   * @throws DiffusionException if a class with a limit is none of the classifier's
   */
  static ScreenClassifiers open(List<ScreenClassifier> classifiers) {
    ScreenClassifiers opened = new ScreenClassifiers();
    try {
      for (ScreenClassifier how : classifiers) {
        ImageClassifier network =
            ImageClassifier.open(Path.of(how.folder()), how.texts(), DeviceSpec.CPU);
        opened.loaded.add(new Loaded(how, network));
        if (!network.labels().containsAll(how.limits().keySet())) {
          throw new DiffusionException(
              "Classifier '%s' has limits for %s; the classes of %s are %s"
                  .formatted(how.name(), how.limits().keySet(), how.folder(), network.labels()));
        }
      }
      return opened;
    } catch (RuntimeException e) {
      opened.close();
      throw e;
    }
  }

  Seen look(Raster image) {
    Map<String, String> scores = new LinkedHashMap<>();
    String found = null;
    double surest = 0;
    for (Loaded each : loaded) {
      float[] shares = each.network().shares(List.of(image)).get(0);
      for (Map.Entry<String, Double> limit : each.how().limits().entrySet()) {
        double share = shares[each.network().labels().indexOf(limit.getKey())];
        String name = each.how().name() + "." + limit.getKey();
        scores.put(name, String.format(Locale.ROOT, "%.4f", share));
        if (share >= limit.getValue() && share > surest) {
          surest = share;
          found =
              String.format(
                  Locale.ROOT, "%s has %.4f, the limit is %s", name, share, limit.getValue());
        }
      }
    }
    return new Seen(scores, Optional.ofNullable(found));
  }

  @Override
  public void close() {
    loaded.forEach(each -> each.network().close());
  }
}
