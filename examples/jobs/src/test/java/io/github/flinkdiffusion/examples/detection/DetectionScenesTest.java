/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.detection;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.examples.evaluation.EvaluationException;
import io.github.flinkdiffusion.examples.training.data.CocoExamples;
import io.github.flinkdiffusion.examples.training.data.Example;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision.Box;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision.Truth;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class DetectionScenesTest {
  private static final int SCENES = 20;

  @TempDir private Path folder;

  private void write(String out) throws IOException {
    // A set in which every thing is a disc, and one in which it is a square.
    for (String body : List.of("<circle cx='5' cy='5' r='4'/>", "<path d='M1 1H9V9H1z'/>")) {
      Files.writeString(
          folder.resolve(body.charAt(1) + ".json"),
          Stream.concat(SceneDrawing.LABELS.keySet().stream(), SceneDrawing.DISTRACTING.stream())
              .map(icon -> "\"%s\": {\"body\": \"%s\"}".formatted(icon, body))
              .collect(
                  Collectors.joining(
                      ",",
                      "{\"prefix\": \"x\", \"width\": 10, \"height\": 10, \"icons\": {",
                      "}}")));
    }
    assertThat(
            new CommandLine(new DetectionScenes())
                .execute(
                    "--icons=" + folder.resolve("c.json") + "," + folder.resolve("p.json"),
                    "--out=" + folder.resolve(out),
                    "--train=" + SCENES,
                    "--held-out=3"))
        .isZero();
  }

  @Test
  void scenesAreTheSameEachTimeAndBoxesLieAroundTheMasksThatATrainingReads() throws Exception {
    write("one");
    write("two");
    Path annotations = folder.resolve("one/instances-train.json");
    assertThat(annotations).hasSameBinaryContentAs(folder.resolve("two/instances-train.json"));
    assertThat(folder.resolve("one/held-out/scene-00000.png"))
        .hasSameBinaryContentAs(folder.resolve("two/held-out/scene-00000.png"));
    assertThat(Files.readAllBytes(folder.resolve("one/held-out/scene-00000.png")))
        .isNotEqualTo(Files.readAllBytes(folder.resolve("one/train/scene-00000.png")));
    CocoBoxes boxes = CocoBoxes.read(annotations);
    assertThat(boxes.images()).hasSize(SCENES);
    List<String> labels = new ArrayList<>(boxes.categories().keySet());
    assertThat(labels).containsExactlyElementsOf(SceneDrawing.LABELS.values());
    labels.add(0, "background");
    CocoExamples examples =
        CocoExamples.classes(
            folder.resolve("one/train"),
            annotations,
            new CocoExamples.Classes(labels, OptionalInt.of(0)),
            CocoExamples.Shape.SEGMENTATION);
    for (int i = 0; i < SCENES; i++) {
      Example example = examples.at(i);
      Raster mask = example.other().orElseThrow();
      String key = CocoBoxes.key(i + 1);
      for (Truth truth : boxes.truths()) {
        if (truth.image().equals(key)) {
          assertThat(edges(mask, labels.indexOf(truth.category()), truth.box()))
              .as("%s in scene %d", truth, i)
              .isEqualTo(4);
        }
      }
    }
  }

  /** Sides of a box that a pixel of the class touches from the inside; 5 if one is around it. */
  private static int edges(Raster mask, int channel, Box box) {
    int left = (int) box.x();
    int top = (int) box.y();
    int right = left + (int) box.width() - 1;
    int bottom = top + (int) box.height() - 1;
    boolean[] touched = new boolean[5];
    for (int y = top - 1; y <= bottom + 1; y++) {
      for (int x = left - 1; x <= right + 1; x++) {
        if (x >= 0
            && y >= 0
            && x < mask.width()
            && y < mask.height()
            && mask.at(channel, y, x) == 1) {
          touched[0] |= x == left;
          touched[1] |= x == right;
          touched[2] |= y == top;
          touched[3] |= y == bottom;
          touched[4] |= x < left || x > right || y < top || y > bottom;
        }
      }
    }
    int count = 0;
    for (boolean each : touched) {
      count += each ? 1 : 0;
    }
    return count;
  }

  @Test
  void aReportHasCocosMeasuresAndRefusesWhatTheAnnotationsDoNotName() throws Exception {
    write("scenes");
    Path annotations = folder.resolve("scenes/instances-held-out.json");
    CocoBoxes boxes = CocoBoxes.read(annotations);
    Path images = folder.resolve("scenes/held-out");
    String results =
        boxes.images().entrySet().stream()
            .map(
                image ->
                    boxes.truths().stream()
                        .filter(truth -> truth.image().equals(CocoBoxes.key(image.getValue())))
                        .map(
                            truth ->
                                "{\"label\": \"%s\", \"score\": 0.5, \"boxPixels\": [%s, %s, %s, %s]}"
                                    .formatted(
                                        truth.category(),
                                        truth.box().x(),
                                        truth.box().y(),
                                        truth.box().width(),
                                        truth.box().height()))
                        .collect(
                            Collectors.joining(
                                ",",
                                "{\"input\": \"%s\", \"found\": ["
                                    .formatted(images.resolve(image.getKey())),
                                "]}")))
            .collect(Collectors.joining(",", "{\"results\": [", "]}"));
    Path found = Files.createDirectories(folder.resolve("found"));
    Files.writeString(found.resolve("summary.json"), results);
    BoxReport report = BoxReport.of(annotations, found);
    assertThat(report.precision().mean()).isEqualTo(1);
    Path out = Files.createDirectories(folder.resolve("report"));
    report.write(out);
    assertThat(out.resolve("README.md")).content().contains("**1.0000**", "in 3 images");
    assertThat(out.resolve("results.json")).content().contains("\"image_id\":3");
    assertThat(out.resolve("measures.json")).content().contains("\"mAP\":1.0");
    assertThat(out.resolve("boxes.png")).isNotEmptyFile();

    Files.writeString(found.resolve("summary.json"), results.replace("scene-00002", "other"));
    assertThatThrownBy(() -> BoxReport.of(annotations, found))
        .isInstanceOf(EvaluationException.class)
        .hasMessageContaining("has no image other.png");
    Files.writeString(
        found.resolve("summary.json"), results.replace(boxes.truths().get(0).category(), "dragon"));
    assertThatThrownBy(() -> BoxReport.of(annotations, found))
        .hasMessageContaining("is 'dragon', which is no category of");
    Files.delete(found.resolve("summary.json"));
    assertThatThrownBy(() -> BoxReport.of(annotations, found))
        .hasMessageContaining("--found takes the folder that examples/detect wrote");
    Path crowd =
        Files.writeString(
            folder.resolve("crowd.json"),
            Files.readString(annotations).replaceFirst("\"iscrowd\":0", "\"iscrowd\":1"));
    assertThatThrownBy(() -> CocoBoxes.read(crowd)).hasMessageContaining("is a crowd");
  }
}
