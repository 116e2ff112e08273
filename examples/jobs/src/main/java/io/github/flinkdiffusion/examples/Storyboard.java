/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.PngCodec;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A story's answers as files: its images, a storyboard, and a list of them. */
final class Storyboard {
  static final String SHEET = "storyboard.png";
  static final String LIST = "story.json";

  private static final int COLUMNS = 4;
  private static final int PICTURE_PIXELS = 192;

  private Storyboard() {}

  /**
   * Writes all of it. Answers come in any order; their attributes say where each belongs.
   *
   * @return a line for each scene without an image
   */
  static List<String> write(
      OutputFolder folder, PayloadStore payloads, Story story, DemoRun.Results results) {
    Map<Integer, ImageEvent> images = new TreeMap<>();
    results.images().forEach(image -> images.put(number(image.getAttributes()), image));
    Map<Integer, FailureEvent> failures = new TreeMap<>();
    results.failures().forEach(failure -> failures.put(number(failure.getAttributes()), failure));
    ContactSheet sheet =
        ContactSheet.columns(Math.min(COLUMNS, story.scenes().size()))
            .pictureSize(PICTURE_PIXELS)
            .title(story.title());
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode list =
        mapper.createObjectNode().put("story", story.id()).put("title", story.title());
    List<String> missing = new ArrayList<>();
    for (int i = 0; i < story.scenes().size(); i++) {
      int number = i + 1;
      Story.Scene scene = story.scenes().get(i);
      PromptEvent request = scene.event();
      ObjectNode entry =
          list.withArray("scenes")
              .addObject()
              .put("scene", number)
              .put("id", request.getId())
              .put("caption", scene.caption())
              .put("prompt", request.getPrompt());
      ImageEvent image = images.get(number);
      if (image == null) {
        FailureEvent failure = failures.get(number);
        entry.put("failure", failure.getMessage());
        missing.add("scene %d: %s".formatted(number, failure.getMessage()));
        continue;
      }
      byte[] png = payloads.read(Payloads.image(image));
      String name = OutputFolder.pictureName(number, scene.caption());
      folder.write(name, png);
      sheet.add(
          PngCodec.decode(png),
          scene.caption(),
          "%d of %d, %s".formatted(number, story.scenes().size(), image.getPrompt()));
      entry
          .put("file", name)
          .put("seed", image.getSeed())
          .put("sha256", image.getDigest())
          .put("model", image.getModel());
    }
    if (!images.isEmpty()) {
      folder.write(SHEET, sheet.toPng());
    }
    try {
      folder.write(
          LIST,
          (mapper.writerWithDefaultPrettyPrinter().writeValueAsString(list) + "\n")
              .getBytes(StandardCharsets.UTF_8));
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("A list of scenes is always representable as JSON.", e);
    }
    return missing;
  }

  private static int number(Map<String, String> attributes) {
    return Integer.parseInt(attributes.get(Story.SCENE));
  }
}
