/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.examples.training.data.ExampleSet;
import io.github.flinkdiffusion.examples.training.data.Fetch;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.evaluation.EfficientNetFeatures;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.quality.Estimate;
import io.github.flinkdiffusion.ops.quality.ImageSetMeasures;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.random.RandomGenerator;

/**
 * The card of a model of pixels: KID of its images beside photographs that were trained on and that
 * were held out, with what makes the numbers readable: noise, photographs without detail, and other
 * parts of the photographs themselves.
 *
 * @param recipe that was trained by
 * @param model the trained folder
 * @param training images that were trained on
 * @param heldOut images that were not
 */
record SampleReport(Recipe recipe, Path model, ExampleSet training, ExampleSet heldOut) {
  private static final int BATCH = 16;

  /** Seeds of the squares are beyond those of the training's batches. */
  private static final long SQUARES = 1L << 40;

  /** Side of what is left of a photograph without detail. */
  private static final int COARSE = 4;

  private static final int RESAMPLES = 200;
  private static final String CARD = "README.md";
  private static final String FIGURES = "measures.json";

  /** KID of a set beside both references. */
  private record Row(String set, Estimate training, Estimate heldOut) {}

  /** Writes the card and, for programs, the figures. */
  void write() throws IOException {
    Path weights = recipe.measureSection().path("weights");
    if (!Files.exists(weights)) {
      String missing =
          "Not measured: there are no weights in %s. See examples/measure-weights.py --help, then run the training's command again."
              .formatted(weights);
      System.out.println(missing);
      card(missing);
      return;
    }
    int count = recipe.measureSection().whole("count", 300, 2);
    List<Row> rows = rows(weights, count);
    figures(rows, count);
    card(table(rows, count));
  }

  private List<Row> rows(Path weights, int count) {
    var device = Engines.standard().trainer().device(recipe.device());
    ImageSetMeasures measures = new ImageSetMeasures(1, 1, RESAMPLES, recipe.settings().seed());
    List<Raster> parts = squares(training, 1, count);
    Map<String, float[][]> sets = new LinkedHashMap<>();
    float[][] trained;
    float[][] unseen;
    try (EfficientNetFeatures network = EfficientNetFeatures.open(weights, device)) {
      trained = network.of(squares(training, 0, count));
      unseen = network.of(squares(heldOut, 2, count));
      sets.put("this model's images", network.of(generated(count)));
      sets.put("other parts of the photographs trained on", network.of(parts));
      sets.put("other parts of the held-out photographs", network.of(squares(heldOut, 3, count)));
      sets.put(
          "the photographs trained on, without detail",
          network.of(parts.stream().map(SampleReport::coarse).toList()));
      sets.put("noise", network.of(noise(count)));
    }
    List<Row> rows = new ArrayList<>();
    sets.forEach(
        (name, features) ->
            rows.add(
                new Row(name, measures.kid(features, trained), measures.kid(features, unseen))));
    return rows;
  }

  private List<Raster> generated(int count) {
    List<Raster> images = new ArrayList<>();
    PipelineSettings settings =
        PipelineSettings.on(Engines.standard().trainer().device(recipe.device()));
    try (DiffusionPipeline pipeline = Pipelines.open(model, settings)) {
      for (int from = 0; from < count; from += BATCH) {
        List<GenerationRequest> requests = new ArrayList<>();
        for (int i = from; i < Math.min(from + BATCH, count); i++) {
          requests.add(
              pipeline
                  .model()
                  .prepare(
                      GenerationSpec.of("sample " + i)
                          .with(Parameters.SEED, (long) i)
                          .with(Parameters.STEPS, (long) recipe.samples().steps())));
        }
        List<Trajectory> rows = pipeline.start(requests);
        while (!rows.get(0).done()) {
          pipeline.step(rows);
        }
        pipeline.finish(rows).forEach(image -> images.add(image.image()));
      }
    }
    return images;
  }

  /** Squares as the training sees them, but drawn for this report. */
  private List<Raster> squares(ExampleSet photographs, int set, int count) {
    int side = recipe.side();
    RandomGenerator random = Batches.random(recipe.settings().seed(), SQUARES + set);
    List<Raster> squares = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      float[] values = recipe.view(3).of(photographs.at(i % photographs.size()), random).clone();
      for (int j = 0; j < values.length; j++) {
        values[j] = Math.max(0, Math.min(1, (values[j] + 1) / 2));
      }
      squares.add(new Raster(3, side, side, values));
    }
    return squares;
  }

  private static Raster coarse(Raster square) {
    return PilResize.resize(
        PilResize.resize(square, COARSE, COARSE, PilResize.Filter.BOX),
        square.height(),
        square.width(),
        PilResize.Filter.BICUBIC);
  }

  private List<Raster> noise(int count) {
    int side = recipe.side();
    RandomGenerator random = Batches.random(recipe.settings().seed(), SQUARES + 4);
    List<Raster> images = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      float[] values = new float[3 * side * side];
      for (int j = 0; j < values.length; j++) {
        values[j] = random.nextFloat();
      }
      images.add(new Raster(3, side, side, values));
    }
    return images;
  }

  private void figures(List<Row> rows, int count) throws IOException {
    ObjectMapper json = new ObjectMapper();
    ObjectNode root = json.createObjectNode();
    root.put("features", EfficientNetFeatures.NAME).put("side", recipe.side());
    root.put("images", count).put("steps", recipe.settings().rate().totalSteps());
    root.put("parameters", parameters()).put("confidence", 0.95);
    TrainingSeconds.of(recipe.out()).ifPresent(seconds -> root.put("seconds", seconds));
    ObjectNode kid = root.putObject("kid");
    for (Row row : rows) {
      ObjectNode of = kid.putObject(row.set());
      put(of.putObject("trainedOn"), row.training());
      put(of.putObject("heldOut"), row.heldOut());
    }
    Files.writeString(recipe.out().resolve(FIGURES), root.toPrettyString() + "\n");
  }

  private static void put(ObjectNode node, Estimate figure) {
    node.put("value", figure.value());
    if (figure.hasInterval()) {
      node.put("low", figure.low()).put("high", figure.high());
    }
  }

  private String table(List<Row> rows, int count) {
    StringBuilder text = new StringBuilder();
    text.append(
        """
        KID over the features of %s, %d images a set, %d x %d pixels, %d sampling steps; 0 is best, and figures with Inception's features are others. In
        brackets 95 %%, by bootstrap over images, which says nothing of other photographs: %d were trained on, %d were held out.

        | | beside photographs trained on | beside held-out photographs |
        | --- | --- | --- |
        """
            .formatted(
                EfficientNetFeatures.NAME,
                count,
                recipe.side(),
                recipe.side(),
                recipe.samples().steps(),
                training.size(),
                heldOut.size()));
    for (Row row : rows) {
      text.append(
          "| %s | %s | %s |%n".formatted(row.set(), text(row.training()), text(row.heldOut())));
    }
    return text.toString();
  }

  private static String text(Estimate figure) {
    String value = String.format(Locale.ROOT, "%.4f", figure.value());
    return figure.hasInterval()
        ? value + String.format(Locale.ROOT, " (%.4f to %.4f)", figure.low(), figure.high())
        : value;
  }

  private void card(String quality) throws IOException {
    int steps = recipe.settings().rate().totalSteps();
    StringBuilder text = new StringBuilder();
    text.append("# %s%n%n".formatted(recipe.out().toAbsolutePath().normalize().getFileName()));
    text.append("![Samples](samples/step-%06d.png)%n%n".formatted(steps));
    text.append(
        String.format(
            Locale.ROOT,
            "%,d parameters, %,d steps of %d squares of %d x %d pixels",
            parameters(),
            steps,
            recipe.batch() * recipe.settings().accumulation(),
            recipe.side(),
            recipe.side()));
    TrainingSeconds.of(recipe.out())
        .ifPresent(
            seconds ->
                text.append(String.format(Locale.ROOT, ", %,.0f s on this machine", seconds)));
    text.append(".%n%n## Data%n".formatted());
    for (Fetch fetch : recipe.fetches()) {
      text.append("- %s, %s, sha256 %s%n".formatted(fetch.url(), fetch.license(), fetch.sha256()));
    }
    text.append("%n## How good it is%n%s%n".formatted(quality));
    Files.writeString(recipe.out().resolve(CARD), text.toString());
  }

  private long parameters() {
    long parameters = 0;
    try (TensorStore unet = ModelFolder.open(model).component("unet").open()) {
      for (String name : unet.names()) {
        parameters += unet.info(name).elements();
      }
    }
    return parameters;
  }
}
