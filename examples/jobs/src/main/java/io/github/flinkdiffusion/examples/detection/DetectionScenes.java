/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.detection;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.examples.detection.DrawnScene.Thing;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.training.Batches;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Writes scenes in COCO's layout: {@code train} and {@code held-out}, each a folder of images and a
 * file of instances. A scene follows from its number and the icons.
 */
@Command(
    name = "detection-scenes",
    mixinStandardHelpOptions = true,
    description =
        "Writes scenes in COCO's layout: what examples/recipes/mini-detect.yaml trains with, and"
            + " what the model is measured on.")
public final class DetectionScenes implements Callable<Integer> {
  private static final long TRAINED_SEED = 20_261_201;
  private static final long HELD_OUT_SEED = 20_261_202;

  @Option(
      names = "--icons",
      required = true,
      split = ",",
      description =
          "icons.json of npm packages @iconify-json/..., e.g. of noto and fluent-emoji-flat.")
  private List<Path> icons;

  @Option(names = "--out", required = true, description = "Folder to write.")
  private Path out;

  @Option(
      names = "--train",
      defaultValue = "5000",
      description = "Scenes to train with (default: ${DEFAULT-VALUE}).")
  private int train;

  @Option(
      names = "--held-out",
      defaultValue = "200",
      description = "Scenes to measure on (default: ${DEFAULT-VALUE}).")
  private int heldOut;

  public static void main(String[] args) {
    System.exit(new CommandLine(new DetectionScenes()).execute(args));
  }

  @Override
  public Integer call() throws IOException {
    SceneDrawing drawing = SceneDrawing.open(icons);
    write(drawing, "train", TRAINED_SEED, train);
    write(drawing, "held-out", HELD_OUT_SEED, heldOut);
    return 0;
  }

  private void write(SceneDrawing drawing, String set, long seed, int count) throws IOException {
    Path images = Files.createDirectories(out.resolve(set));
    ObjectNode coco = new ObjectMapper().createObjectNode();
    ArrayNode listed = coco.putArray("images");
    ArrayNode categories = coco.putArray("categories");
    List<String> labels = List.copyOf(SceneDrawing.LABELS.values());
    for (String label : labels) {
      categories.addObject().put("id", categories.size()).put("name", label);
    }
    ArrayNode annotations = coco.putArray("annotations");
    for (int i = 0; i < count; i++) {
      DrawnScene scene = drawing.scene(Batches.random(seed, i));
      String name = "scene-%05d.png".formatted(i);
      Files.write(images.resolve(name), PngCodec.encode(scene.image()));
      listed
          .addObject()
          .put("id", i + 1)
          .put("file_name", name)
          .put("width", SceneDrawing.SIDE)
          .put("height", SceneDrawing.SIDE);
      for (Thing thing : scene.things()) {
        ObjectNode annotation =
            annotations
                .addObject()
                .put("id", annotations.size())
                .put("image_id", i + 1)
                .put("category_id", labels.indexOf(thing.label()) + 1)
                .put("area", thing.inside().area())
                .put("iscrowd", 0);
        ArrayNode box = annotation.putArray("bbox");
        for (int value : thing.inside().box()) {
          box.add(value);
        }
        ObjectNode runs = annotation.putObject("segmentation");
        runs.putArray("size").add(SceneDrawing.SIDE).add(SceneDrawing.SIDE);
        thing.inside().runs().forEach(runs.putArray("counts")::add);
      }
    }
    Files.writeString(out.resolve("instances-" + set + ".json"), coco + "\n");
    System.out.printf("%,d scenes with %,d things in %s%n", count, annotations.size(), images);
  }
}
