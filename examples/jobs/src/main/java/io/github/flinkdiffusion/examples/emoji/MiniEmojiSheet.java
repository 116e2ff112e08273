/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Background;
import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Emoji;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Numbers;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Draws the sheet of docs/GENERATE.md: images of a ControlNet that {@code emoji-shapes.yaml}
 * trained. They share their network calls.
 */
@Command(
    name = "mini-emoji-sheet",
    mixinStandardHelpOptions = true,
    description = "Draws a sheet of what a ControlNet changes in mini-emoji's images.")
public final class MiniEmojiSheet implements Callable<Integer> {
  private static final String MINI_EMOJI = "examples/models/mini-emoji";
  private static final int COLUMNS = 6;
  private static final int PICTURE = 128;
  private static final long STEPS = 25;
  private static final double GUIDANCE = 2;

  @Option(
      names = "--controlnet",
      required = true,
      description = "Model folder with a ControlNet for shapes.")
  private Path controlNet;

  @Option(
      names = "--images",
      required = true,
      description = "Folder img/google/64 of npm's emoji-datasource-google, whose shapes are used.")
  private Path images;

  @Option(names = "--out", required = true, description = "PNG file to write.")
  private Path out;

  public static void main(String[] args) {
    System.exit(new CommandLine(new MiniEmojiSheet()).execute(args));
  }

  @Override
  public Integer call() throws IOException {
    Files.write(out, sheet().toPng());
    return 0;
  }

  /**
   * A shape and what is to fill it.
   *
   * @param shape whose place and size count; its background does not
   * @param prompts two
   */
  private record Shape(PlacedEmoji shape, List<String> prompts) {
    static Shape of(String name, int left, int top, int side, String... prompts) {
      Emoji emoji =
          EmojiVocabulary.emoji().stream()
              .filter(each -> each.name().equals(name))
              .findFirst()
              .orElseThrow();
      Background any = EmojiVocabulary.backgrounds().get(0);
      return new Shape(new PlacedEmoji(emoji, any, left, top, side), List.of(prompts));
    }
  }

  private static final List<Shape> SHAPES =
      List.of(
          Shape.of(
              "heart",
              2,
              2,
              44,
              "a large heart on a yellow background",
              "a large strawberry on a blue background"),
          Shape.of(
              "earth",
              18,
              2,
              44,
              "a large earth on an orange background",
              "a large cookie on a blue background"),
          Shape.of(
              "star",
              4,
              16,
              46,
              "a large star on a purple background",
              "a large heart on a white background"),
          Shape.of(
              "tree",
              18,
              8,
              46,
              "a large tree on a yellow background",
              "a large birthday cake on a blue background"));

  private ContactSheet sheet() throws IOException {
    EmojiImages pictures = EmojiImages.open(images);
    List<GenerationSpec> controlled = new ArrayList<>();
    List<GenerationSpec> plain = new ArrayList<>();
    for (int row = 0; row < SHAPES.size(); row++) {
      Raster shape = SHAPES.get(row).shape().shape(pictures);
      List<String> prompts = SHAPES.get(row).prompts();
      plain.add(spec(prompts.get(0), row));
      for (double scale : new double[] {0, 0.5, 1}) {
        controlled.add(controlled(spec(prompts.get(0), row), shape, scale));
      }
      controlled.add(controlled(spec(prompts.get(1), row), shape, 1));
    }
    List<Raster> without = draw(Path.of(MINI_EMOJI), plain);
    List<Raster> with = draw(controlNet, controlled);
    ContactSheet sheet = ContactSheet.columns(COLUMNS).pictureSize(PICTURE);
    for (int row = 0; row < SHAPES.size(); row++) {
      List<String> prompts = SHAPES.get(row).prompts();
      List<Raster> own = with.subList(4 * row, 4 * row + 4);
      sheet
          .add(enlarged(SHAPES.get(row).shape().shape(pictures)), "controlImage")
          .add(enlarged(without.get(row)), prompts.get(0), "without the ControlNet")
          .add(enlarged(own.get(0)), prompts.get(0), "scale 0")
          .add(enlarged(own.get(1)), prompts.get(0), "scale 0.5")
          .add(enlarged(own.get(2)), prompts.get(0), "scale 1")
          .add(enlarged(own.get(3)), prompts.get(1), "scale 1");
    }
    return sheet;
  }

  private static GenerationSpec controlled(GenerationSpec spec, Raster shape, double scale) {
    return spec.with(Parameters.CONTROL_IMAGE, shape)
        .with(Parameters.CONTROLNET_CONDITIONING_SCALE, new Numbers(scale));
  }

  /** Each pixel four times, so that the sheet shows what was drawn. */
  private static Raster enlarged(Raster image) {
    int height = 2 * image.height();
    int width = 2 * image.width();
    float[] data = new float[image.channels() * height * width];
    for (int i = 0; i < data.length; i++) {
      data[i] = image.at(i / (height * width), i / width % height / 2, i % width / 2);
    }
    return new Raster(image.channels(), height, width, data);
  }

  private static GenerationSpec spec(String prompt, long seed) {
    return GenerationSpec.of("sheet")
        .with(Parameters.PROMPT, prompt)
        .with(Parameters.SEED, seed)
        .with(Parameters.STEPS, STEPS)
        .with(Parameters.GUIDANCE_SCALE, GUIDANCE);
  }

  private static List<Raster> draw(Path model, List<GenerationSpec> specs) {
    try (DiffusionPipeline pipeline =
        Pipelines.open(model, PipelineSettings.on(Engines.standard().device("auto")))) {
      List<Trajectory> trajectories =
          pipeline.start(specs.stream().map(pipeline.model()::prepare).toList());
      while (!trajectories.get(0).done()) {
        pipeline.step(trajectories);
      }
      return pipeline.finish(trajectories).stream().map(GeneratedImage::image).toList();
    }
  }
}
