/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.evaluation.ClipEmbeddings;
import io.github.flinkdiffusion.ops.evaluation.EfficientNetFeatures;
import io.github.flinkdiffusion.ops.evaluation.InceptionFeatures;
import io.github.flinkdiffusion.ops.evaluation.PerceptualDistance;
import io.github.flinkdiffusion.ops.evaluation.TorchFidelityOrder;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.quality.Estimate;
import io.github.flinkdiffusion.ops.quality.ImageSetMeasures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.stream.Collectors;

/** The figures of a folder of generated images. A few images at a time are in memory. */
final class FolderMeasures {
  private static final int TOGETHER = 16;

  /** Pairs of which the diversity is the mean. */
  private static final int PAIRS = 200;

  /** The networks to measure with. */
  record Networks(
      Optional<Path> inception,
      Optional<Path> efficientnet,
      Optional<Path> lpips,
      Optional<Path> clip) {}

  /** As {@link ImageSetMeasures} has them, and where networks run. */
  record Settings(int parts, int nearest, int resamples, long seed, DeviceSpec device) {}

  private final ImageFolder generated;
  private final Optional<ImageFolder> real;
  private final Networks networks;
  private final Optional<Path> prompts;
  private final Settings settings;
  private final ImageSetMeasures measures;
  private final List<String> notes = new ArrayList<>();

  FolderMeasures(
      ImageFolder generated,
      Optional<ImageFolder> real,
      Networks networks,
      Optional<Path> prompts,
      Settings settings) {
    this.generated = generated;
    this.real = real;
    this.networks = networks;
    this.prompts = prompts;
    this.settings = settings;
    this.measures =
        new ImageSetMeasures(settings.parts, settings.nearest, settings.resamples, settings.seed);
  }

  int generated() {
    return generated.files().size();
  }

  Optional<Integer> real() {
    return real.map(folder -> folder.files().size());
  }

  /** What was left out, in sentences. */
  List<String> notes() {
    return notes;
  }

  /**
   * Computes all figures that the networks allow.
   *
   * @throws DemoException if a file cannot be read
   */
  Map<String, Estimate> measured() {
    Map<String, Estimate> found = new LinkedHashMap<>();
    networks.inception.ifPresent(weights -> found.putAll(byInception(weights)));
    networks.efficientnet.ifPresent(weights -> found.putAll(byEfficientNet(weights)));
    networks.lpips.ifPresent(weights -> found.putAll(byPerception(weights)));
    networks.clip.ifPresent(folder -> found.putAll(byTexts(folder)));
    return found;
  }

  private Map<String, Estimate> byInception(Path weights) {
    try (InceptionFeatures inception = InceptionFeatures.open(weights, settings.device)) {
      InceptionFeatures.Seen made = seen(inception, generated);
      Map<String, Estimate> found =
          measures.ofOne(made.features(), TorchFidelityOrder.shuffled(made.logits()));
      real.ifPresent(
          folder ->
              found.putAll(measures.ofTwo(made.features(), seen(inception, folder).features())));
      return found;
    }
  }

  /** The figures that need no classes, with features whose weights can be had. */
  private Map<String, Estimate> byEfficientNet(Path weights) {
    try (EfficientNetFeatures network = EfficientNetFeatures.open(weights, settings.device)) {
      float[][] made = seen(network, generated);
      Map<String, Estimate> found = measures.ofFeatures(made);
      real.ifPresent(folder -> found.putAll(measures.ofTwo(made, seen(network, folder))));
      notes.add(
          "The features are those of %s; figures with Inception's are others."
              .formatted(EfficientNetFeatures.NAME));
      return found;
    }
  }

  private static float[][] seen(EfficientNetFeatures network, ImageFolder folder) {
    List<float[]> features = new ArrayList<>();
    for (List<Path> part : parts(folder.files())) {
      features.addAll(List.of(network.of(ImageFolder.read(part))));
    }
    return features.toArray(float[][]::new);
  }

  private static InceptionFeatures.Seen seen(InceptionFeatures inception, ImageFolder folder) {
    List<float[]> features = new ArrayList<>();
    List<float[]> logits = new ArrayList<>();
    for (List<Path> part : parts(folder.files())) {
      InceptionFeatures.Seen seen = inception.see(ImageFolder.read(part));
      features.addAll(List.of(seen.features()));
      logits.addAll(List.of(seen.logits()));
    }
    return new InceptionFeatures.Seen(
        features.toArray(float[][]::new), logits.toArray(float[][]::new));
  }

  private static <T> List<List<T>> parts(List<T> all) {
    List<List<T>> parts = new ArrayList<>();
    for (int from = 0; from < all.size(); from += TOGETHER) {
      parts.add(all.subList(from, Math.min(from + TOGETHER, all.size())));
    }
    return parts;
  }

  private Map<String, Estimate> byPerception(Path weights) {
    Map<String, Estimate> found = new LinkedHashMap<>();
    try (PerceptualDistance distance = PerceptualDistance.open(weights, settings.device)) {
      if (generated() > 1) {
        found.put("lpipsDiversity", Estimate.ofMean(distances(distance, drawnPairs())));
      }
      if (real.isPresent()) {
        List<Pair> pairs = pairsByName(real.get());
        if (pairs.isEmpty()) {
          notes.add("No lpips: no generated image has the name of a real one.");
        } else {
          found.put("lpips", Estimate.ofMean(distances(distance, pairs)));
        }
      }
    }
    return found;
  }

  private record Pair(Path first, Path second) {}

  /** All pairs of generated images, or as many as are enough. */
  private List<Pair> drawnPairs() {
    List<Path> files = generated.files();
    List<Pair> pairs = new ArrayList<>();
    if ((long) files.size() * (files.size() - 1) / 2 <= PAIRS) {
      for (int i = 1; i < files.size(); i++) {
        for (int j = 0; j < i; j++) {
          pairs.add(new Pair(files.get(i), files.get(j)));
        }
      }
      return pairs;
    }
    SplittableRandom random = new SplittableRandom(settings.seed);
    while (pairs.size() < PAIRS) {
      int first = random.nextInt(files.size());
      int second = random.nextInt(files.size() - 1);
      pairs.add(new Pair(files.get(first), files.get(second < first ? second : second + 1)));
    }
    return pairs;
  }

  private List<Pair> pairsByName(ImageFolder others) {
    Map<Path, Path> byName =
        others.files().stream().collect(Collectors.toMap(Path::getFileName, Function.identity()));
    return generated.files().stream()
        .filter(file -> byName.containsKey(file.getFileName()))
        .map(file -> new Pair(file, byName.get(file.getFileName())))
        .toList();
  }

  private static double[] distances(PerceptualDistance distance, List<Pair> pairs) {
    double[] distances = new double[pairs.size()];
    for (int i = 0; i < distances.length; i++) {
      Pair pair = pairs.get(i);
      try {
        distances[i] =
            distance
                .between(
                    List.of(ImageFolder.read(pair.first)), List.of(ImageFolder.read(pair.second)))[
                0];
      } catch (ImageException e) {
        throw new DemoException(
            "%s and %s: %s".formatted(pair.first, pair.second, e.getMessage()), e);
      }
    }
    return distances;
  }

  private Map<String, Estimate> byTexts(Path folder) {
    Map<String, String> given = prompts(prompts.orElseThrow());
    List<Path> files =
        generated.files().stream()
            .filter(file -> given.containsKey(file.getFileName().toString()))
            .toList();
    if (files.isEmpty()) {
      throw new DemoException(
          "%s names no file of %s.".formatted(prompts.orElseThrow(), generated.path()));
    }
    if (files.size() < generated()) {
      notes.add(
          "clipScore and rPrecision are of %d images: the others have no prompt."
              .formatted(files.size()));
    }
    List<float[]> images = new ArrayList<>();
    List<float[]> texts = new ArrayList<>();
    try (ClipEmbeddings clip = ClipEmbeddings.open(folder, settings.device)) {
      for (List<Path> part : parts(files)) {
        images.addAll(List.of(clip.images(ImageFolder.read(part))));
        texts.addAll(
            List.of(
                clip.texts(
                    part.stream().map(file -> given.get(file.getFileName().toString())).toList())));
      }
    }
    return measures.ofTexts(images.toArray(float[][]::new), texts.toArray(float[][]::new));
  }

  /** By file name. */
  private static Map<String, String> prompts(Path file) {
    Map<String, String> prompts = new LinkedHashMap<>();
    try {
      int number = 0;
      for (String line : Files.readAllLines(file)) {
        number++;
        int tab = line.indexOf('\t');
        if (tab < 0 && !line.isBlank()) {
          throw new DemoException(
              "%s, line %d: a file name, a tab and a prompt are needed.".formatted(file, number));
        }
        if (tab >= 0
            && prompts.putIfAbsent(line.substring(0, tab), line.substring(tab + 1)) != null) {
          throw new DemoException(
              "%s, line %d: %s has a prompt already."
                  .formatted(file, number, line.substring(0, tab)));
        }
      }
    } catch (IOException e) {
      throw new DemoException("Cannot read the prompts in %s (%s).".formatted(file, e), e);
    }
    return prompts;
  }
}
