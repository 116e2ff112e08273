/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.quality.Estimate;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Measures folders of images. */
@Command(
    name = "examples/measure",
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Measure a folder of generated images: by itself, beside real images, and by the prompts that"
          + " the images are of. Bring the networks: examples/measure-weights.py writes them. Every"
          + " figure has an interval of 95 %.",
      ""
    },
    footer = {
      "",
      "  --inception  inceptionScore, vendiScore; with REAL also fid, kid, precision, recall,"
          + " density, coverage",
      "  --efficientnet  vendiScore; with REAL also fid, kid, precision, recall, density, coverage",
      "  --lpips      lpipsDiversity; with REAL also lpips, of images with the same name",
      "  --clip       clipScore, rPrecision (with --prompts)"
    })
public final class MeasureTool implements Callable<Integer> {
  @Mixin private HelpOption help;

  @CommandLine.Parameters(
      index = "0",
      paramLabel = "GENERATED",
      description = "Folder of generated images. Files of other kinds are left out.")
  private Path generated;

  @CommandLine.Parameters(
      index = "1",
      paramLabel = "REAL",
      arity = "0..1",
      description = "Folder of real images.")
  private Path real;

  @Option(
      names = "--inception",
      paramLabel = "FILE",
      description = "Inception v3 of 2015-12-05 as safetensors.")
  private Path inception;

  @Option(
      names = "--efficientnet",
      paramLabel = "FILE",
      description = "EfficientNet-Lite0 as safetensors, for features in place of Inception's.")
  private Path efficientnet;

  @Option(
      names = "--lpips",
      paramLabel = "FILE",
      description = "LPIPS with AlexNet or VGG 16 as safetensors.")
  private Path lpips;

  @Option(
      names = "--clip",
      paramLabel = "FOLDER",
      description = "A CLIP folder, such as openai/clip-vit-base-patch32.")
  private Path clip;

  @Option(
      names = "--prompts",
      paramLabel = "FILE",
      description =
          "Prompts of the generated images: a line for each, with the file's name, a tab, and the"
              + " prompt. Images without a line are left out of clipScore and rPrecision.")
  private Path prompts;

  @Option(
      names = "--parts",
      defaultValue = "10",
      paramLabel = "N",
      description = "Parts of the Inception Score (default: ${DEFAULT-VALUE}).")
  private int parts;

  @Option(
      names = "--nearest",
      defaultValue = "5",
      paramLabel = "K",
      description =
          "Neighbor whose distance is a ball's radius, for precision, recall, density and coverage"
              + " (default: ${DEFAULT-VALUE}).")
  private int nearest;

  @Option(
      names = "--resamples",
      defaultValue = "100",
      paramLabel = "N",
      description =
          "Draws of the bootstrap; 0 leaves its intervals out (default: ${DEFAULT-VALUE}).")
  private int resamples;

  @Option(
      names = "--seed",
      defaultValue = "0",
      paramLabel = "N",
      description =
          "Seed of the bootstrap and of the pairs of lpipsDiversity (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--device",
      defaultValue = "auto",
      paramLabel = "NAME",
      description = "cpu, gpu:0, ..., or auto (default: ${DEFAULT-VALUE}).")
  private String device;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  private MeasureTool() {}

  public static void main(String[] args) {
    Scratch.deleteAtEnd();
    System.exit(run(args));
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new MeasureTool(), args);
  }

  @Override
  public Integer call() throws JsonProcessingException {
    if (inception == null && efficientnet == null && lpips == null && clip == null) {
      throw new DemoException(
          "Nothing to measure with; give --inception FILE, --efficientnet FILE, --lpips FILE or"
              + " --clip FOLDER.");
    }
    if (inception != null && efficientnet != null) {
      throw new DemoException(
          "--inception and --efficientnet give figures of the same names; measure with one of"
              + " them at a time.");
    }
    if ((clip == null) != (prompts == null)) {
      throw new DemoException("--clip and --prompts need each other.");
    }
    if (resamples < 0 || parts < 1 || nearest < 1) {
      throw new DemoException(
          "--resamples is %d, --parts %d and --nearest %d; they take numbers from 0, 1 and 1."
              .formatted(resamples, parts, nearest));
    }
    FolderMeasures measures =
        new FolderMeasures(
            ImageFolder.of(generated),
            Optional.ofNullable(real).map(ImageFolder::of),
            new FolderMeasures.Networks(
                Optional.ofNullable(inception),
                Optional.ofNullable(efficientnet),
                Optional.ofNullable(lpips),
                Optional.ofNullable(clip)),
            Optional.ofNullable(prompts),
            new FolderMeasures.Settings(parts, nearest, resamples, seed, device()));
    Map<String, Estimate> found = measures.measured();
    System.out.println(json ? json(measures, found) : table(measures, found));
    return 0;
  }

  private DeviceSpec device() {
    if (!DeviceSpec.isName(device)) {
      throw new DemoException(
          "--device is '%s'; it takes cpu, gpu:0 and so on, and auto.".formatted(device));
    }
    return Engines.standard().device(device);
  }

  private static String table(FolderMeasures measures, Map<String, Estimate> found) {
    StringBuilder text = new StringBuilder();
    text.append("%d generated images".formatted(measures.generated()));
    measures.real().ifPresent(count -> text.append(", %d real ones".formatted(count)));
    found.forEach(
        (name, figure) ->
            text.append(
                String.format(
                    Locale.ROOT,
                    "%n%-16s %12.6g  %s",
                    name,
                    figure.value(),
                    figure.hasInterval()
                        ? String.format(Locale.ROOT, "%.6g to %.6g", figure.low(), figure.high())
                        : "no interval")));
    measures.notes().forEach(note -> text.append("%n%s".formatted(note)));
    return text.toString();
  }

  private static String json(FolderMeasures measures, Map<String, Estimate> found)
      throws JsonProcessingException {
    ObjectMapper mapper = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
    ObjectNode root = mapper.createObjectNode().put("generated", measures.generated());
    measures.real().ifPresent(count -> root.put("real", count));
    root.put("confidence", 0.95);
    ObjectNode figures = root.putObject("measures");
    found.forEach(
        (name, figure) -> {
          ObjectNode node = figures.putObject(name).put("value", figure.value());
          if (figure.hasInterval()) {
            node.put("low", figure.low()).put("high", figure.high());
          }
        });
    measures.notes().forEach(root.withArray("notes")::add);
    return mapper.writeValueAsString(root);
  }
}
