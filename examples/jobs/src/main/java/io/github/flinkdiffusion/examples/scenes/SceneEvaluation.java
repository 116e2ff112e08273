/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import io.github.flinkdiffusion.examples.scenes.SceneReader.Reading;
import io.github.flinkdiffusion.examples.scenes.SceneReader.Thing;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.quality.Fidelity;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.function.Predicate;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Measures how often the second embedded model draws what it was asked for, as {@link SceneReader}
 * sees it. The first line is what the reader finds in true drawings: no model can do better.
 */
@Command(
    name = "scene-evaluation",
    mixinStandardHelpOptions = true,
    description =
        "Measures how often the second embedded text-to-image model draws what it should.")
public final class SceneEvaluation implements Callable<Integer> {
  private static final int BATCH = 16;
  private static final int SHEET_COLUMNS = 8;
  private static final int SEEDS = 4;
  private static final int SEED_PROMPTS = 48;
  private static final int SEEDS_NEEDED = 3;

  /** How far a thing may be from its place, as a share of the side: a quarter is another place. */
  private static final double NEAR = 0.2;

  @Mixin private SceneIcons icons;

  @Option(names = "--model", required = true, description = "Model folder.")
  private Path model;

  @Option(
      names = "--scenes",
      defaultValue = "96",
      description = "Scenes of each kind (default: ${DEFAULT-VALUE}).")
  private int scenes;

  @Option(
      names = "--steps",
      defaultValue = "25",
      description = "Denoising steps (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--guidance",
      defaultValue = "" + SceneVocabulary.GUIDANCE,
      description = "Guidance scale (default: ${DEFAULT-VALUE}).")
  private double guidance;

  @Option(
      names = "--sheet",
      description = "PNG files of contact sheets are named by this path and the kind of scenes.")
  private String sheet;

  @Option(
      names = "--prompts",
      description =
          "Text file of prompts in anybody's words: each is drawn with 4 seeds, and right if nouns,"
              + " number and color are found in 3.")
  private Path prompts;

  public static void main(String[] args) {
    System.exit(new CommandLine(new SceneEvaluation()).execute(args));
  }

  private record Rates(int count, int nouns, int colors, int counts, int places) {
    Rates plus(Scene asked, Reading seen) {
      boolean counted = seen.things().size() == asked.arrangement().places().size();
      return new Rates(
          count + 1,
          nouns + (hasNoun(asked, seen) ? 1 : 0),
          colors + (seen.background().equals(asked.background()) ? 1 : 0),
          counts + (counted ? 1 : 0),
          places + (counted && isPlaced(asked, seen) ? 1 : 0));
    }

    private static boolean hasNoun(Scene asked, Reading seen) {
      return seen.things().stream().map(Thing::noun).anyMatch(asked.noun()::equals);
    }

    /** There is a thing near each place. */
    private static boolean isPlaced(Scene asked, Reading seen) {
      return asked.arrangement().places().stream()
          .allMatch(
              place ->
                  seen.things().stream()
                      .anyMatch(
                          thing ->
                              Math.abs(thing.x() - place.x()) < NEAR
                                  && Math.abs(thing.y() - place.y()) < NEAR));
    }

    void print(String name) {
      System.out.printf(
          "| %s | %d | %.1f %% | %.1f %% | %.1f %% | %.1f %% |%n",
          name, count, share(nouns), share(colors), share(counts), share(places));
    }

    private double share(int of) {
      return 100.0 * of / Math.max(1, count);
    }
  }

  @Override
  public Integer call() throws Exception {
    List<Noun> nouns = SceneVocabulary.nouns();
    IconLibrary library = icons.open();
    SceneReader reader = new SceneReader(nouns, library, SceneModel.SIDE);
    System.out.println("| scenes | count | noun | color | number | place |");
    System.out.println("| --- | --- | --- | --- | --- | --- |");
    List<Scene> heldOut = heldOut();
    Rates truth = new Rates(0, 0, 0, 0, 0);
    for (int i = 0; i < heldOut.size(); i++) {
      float[] image = heldOut.get(i).draw(library, SceneModel.SIDE, SceneVocabulary.drawing(i));
      for (int j = 0; j < image.length; j++) {
        image[j] = (image[j] + 1) / 2;
      }
      truth = truth.plus(heldOut.get(i), reader.read(image, 1));
    }
    truth.print("true drawings");
    try (DiffusionPipeline pipeline =
        Pipelines.open(
            model,
            PipelineSettings.on(Engines.standard().device("auto"))
                .withPrecision(Precision.FLOAT32))) {
      measure("held out", pipeline, reader, heldOut);
      measure(
          "several of a kind",
          pipeline,
          reader,
          later(arrangement -> arrangement.kind() == Arrangement.Kind.SAME));
      measure(
          "away from the middle",
          pipeline,
          reader,
          later(
              arrangement ->
                  arrangement.kind() == Arrangement.Kind.ONE && arrangement != Arrangement.CENTER));
      measureSeeds(pipeline, library);
      if (prompts != null) {
        measurePrompts(pipeline, reader);
      }
    }
    return 0;
  }

  /**
   * How far apart two images of one prompt are, which says neither size nor style nor color: 1 -
   * SSIM, beside that of two true drawings that the prompt fits as well.
   */
  private void measureSeeds(DiffusionPipeline pipeline, IconLibrary library) throws Exception {
    int side = SceneModel.SIDE;
    double[] made = new double[Math.min(SEED_PROMPTS, scenes)];
    double[] drawn = new double[made.length];
    ContactSheet contactSheet = ContactSheet.columns(SHEET_COLUMNS).title("two seeds of a prompt");
    for (int i = 0; i < made.length; i++) {
      Noun noun = SceneVocabulary.nouns().get(i * SceneVocabulary.nouns().size() / made.length);
      String prompt = Scene.article(noun.name());
      List<GeneratedImage> pair = draw(pipeline, List.of(prompt, prompt), 2 * i);
      made[i] = 1 - Fidelity.ssim(pair.get(0).image(), pair.get(1).image());
      List<Raster> truth = new ArrayList<>();
      for (int j = 0; j < 2; j++) {
        RandomGenerator random = SceneVocabulary.drawing(2L * i + j);
        float[] pixels = SceneVocabulary.anyOf(noun, random).draw(library, side, random);
        for (int k = 0; k < pixels.length; k++) {
          pixels[k] = (pixels[k] + 1) / 2;
        }
        truth.add(new Raster(3, side, side, pixels));
      }
      drawn[i] = 1 - Fidelity.ssim(truth.get(0), truth.get(1));
      contactSheet = contactSheet.add(pair.get(0).image(), prompt).add(pair.get(1).image(), prompt);
    }
    System.out.printf(
        "two seeds of %d prompts: 1 - SSIM %.3f in the mean; of two true drawings %.3f%n",
        made.length, mean(made), mean(drawn));
    write("seeds", contactSheet);
  }

  private static double mean(double[] values) {
    return Arrays.stream(values).average().orElseThrow();
  }

  private void measurePrompts(DiffusionPipeline pipeline, SceneReader reader) throws Exception {
    ContactSheet contactSheet = ContactSheet.columns(SEEDS).title("prompts");
    List<String> lines =
        Files.readAllLines(prompts).stream().filter(each -> !each.isBlank()).toList();
    int right = 0;
    for (String prompt : lines) {
      AskedScene asked = AskedScene.of(prompt);
      int shown = 0;
      List<String> seen = new ArrayList<>();
      for (GeneratedImage image : draw(pipeline, Collections.nCopies(SEEDS, prompt), 0)) {
        Reading reading = reader.read(image.image().data(), Math.max(1, asked.things()));
        shown += asked.isShown(reading) ? 1 : 0;
        seen.add(reading.text());
        contactSheet = contactSheet.add(image.image(), prompt);
      }
      right += shown >= SEEDS_NEEDED ? 1 : 0;
      System.out.printf("%d of %d: %s (%s)%n", shown, SEEDS, prompt, String.join("; ", seen));
    }
    System.out.printf("%d of %d prompts are drawn right%n", right, lines.size());
    write("prompts", contactSheet);
  }

  private void write(String name, ContactSheet contactSheet) throws IOException {
    if (sheet != null) {
      Files.write(
          Path.of("%s-%s.png".formatted(sheet, name.replace(' ', '-'))), contactSheet.toPng());
    }
  }

  /** Scenes of one thing whose combination of noun, size and color was never trained on. */
  private List<Scene> heldOut() {
    List<Scene> all = new ArrayList<>();
    for (Noun noun : SceneVocabulary.nouns()) {
      for (SceneSize size : SceneSize.values()) {
        for (Tone tone : Tone.all()) {
          SceneStyle style = SceneStyle.values()[all.size() % SceneStyle.values().length];
          Scene scene = Scene.of(noun, size, style, tone);
          if (SceneVocabulary.isHeldOut(scene)) {
            all.add(scene);
          }
        }
      }
    }
    Collections.shuffle(all, new Random(7));
    return all.subList(0, Math.min(scenes, all.size()));
  }

  /** Scenes with numbers that no training comes to. */
  private List<Scene> later(Predicate<Arrangement> fits) {
    return IntStream.iterate(1_000_000_000, number -> number + 1)
        .mapToObj(SceneVocabulary::training)
        .filter(scene -> fits.test(scene.arrangement()))
        .limit(scenes)
        .toList();
  }

  private void measure(
      String name, DiffusionPipeline pipeline, SceneReader reader, List<Scene> asked)
      throws Exception {
    ContactSheet contactSheet = ContactSheet.columns(SHEET_COLUMNS).title(name);
    Rates rates = new Rates(0, 0, 0, 0, 0);
    for (int begin = 0; begin < asked.size(); begin += BATCH) {
      List<Scene> batch = asked.subList(begin, Math.min(begin + BATCH, asked.size()));
      List<GeneratedImage> made = draw(pipeline, batch.stream().map(Scene::prompt).toList(), begin);
      for (int i = 0; i < batch.size(); i++) {
        Scene scene = batch.get(i);
        int expected = scene.arrangement().places().size();
        rates = rates.plus(scene, reader.read(made.get(i).image().data(), expected));
        contactSheet = contactSheet.add(made.get(i).image(), scene.prompt());
      }
    }
    rates.print(name);
    write(name, contactSheet);
  }

  private List<GeneratedImage> draw(DiffusionPipeline pipeline, List<String> batch, int first) {
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < batch.size(); i++) {
      requests.add(
          pipeline
              .model()
              .prepare(
                  GenerationSpec.of("scene")
                      .with(Parameters.PROMPT, batch.get(i))
                      .with(Parameters.SEED, (long) first + i)
                      .with(Parameters.STEPS, (long) steps)
                      .with(Parameters.GUIDANCE_SCALE, guidance)));
    }
    List<Trajectory> trajectories = pipeline.start(requests);
    while (!trajectories.get(0).done()) {
      pipeline.step(trajectories);
    }
    return pipeline.finish(trajectories);
  }
}
