/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.PngCodec;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Results as files: pictures, a contact sheet and a summary, in the order of the requests. */
final class Report {
  private static final int SHEET_COLUMNS = 4;
  private static final int SHEET_PICTURE_PIXELS = 192;

  /** More would make a sheet that no viewer opens gladly. */
  private static final int SHEET_PICTURES = 100;

  /** Attribute of a request that is shown below its picture. */
  static final String NOTE = "note";

  private final OutputFolder folder;
  private final String model;
  private final Optional<ModelWords> words;
  private final String device;
  private final int parallelism;

  /**
   * @param model name of the model folder
   * @param words that the model knows; empty when its folder does not say
   * @param device where the networks ran
   */
  Report(
      OutputFolder folder,
      String model,
      Optional<ModelWords> words,
      String device,
      int parallelism) {
    this.folder = folder;
    this.model = model;
    this.words = words;
    this.device = device;
    this.parallelism = parallelism;
  }

  /**
   * Writes all of it.
   *
   * @param total time of the whole run, starting and stopping included
   */
  Summary write(List<PromptEvent> requests, DemoRun.Results results, Duration total) {
    Map<String, ImageEvent> images = byId(results.images(), ImageEvent::getId);
    Map<String, FailureEvent> failures = byId(results.failures(), FailureEvent::getId);
    List<Summary.Picture> pictures = new ArrayList<>();
    List<Summary.Failure> failed = new ArrayList<>();
    ContactSheet sheet =
        ContactSheet.columns(SHEET_COLUMNS)
            .pictureSize(SHEET_PICTURE_PIXELS)
            .title(title(results.images()));
    for (int i = 0; i < requests.size(); i++) {
      String id = requests.get(i).getId();
      ImageEvent image = images.get(id);
      if (image != null) {
        pictures.add(picture(i + 1, image, pictures.size() < SHEET_PICTURES ? sheet : null));
      } else {
        FailureEvent failure = failures.get(id);
        failed.add(new Summary.Failure(id, failure.getReason().name(), failure.getMessage()));
      }
    }
    String modelDigest =
        results.images().stream().map(ImageEvent::getModelDigest).findFirst().orElse("");
    Summary summary =
        new Summary(
            model,
            modelDigest,
            device,
            parallelism,
            requests.size(),
            pictures,
            failed,
            new Summary.Seconds(seconds(results.making()), seconds(total)),
            results.batches());
    if (!pictures.isEmpty()) {
      folder.write(OutputFolder.CONTACT_SHEET, sheet.toPng());
    }
    folder.write(OutputFolder.SUMMARY_JSON, utf8(summary.json()));
    folder.write(OutputFolder.SUMMARY_TEXT, utf8(summary.text()));
    return summary;
  }

  /** What all pictures have in common. */
  private String title(List<ImageEvent> images) {
    List<String> ways =
        images.stream()
            .map(image -> image.getScheduler() + ", " + image.getSteps() + " steps")
            .distinct()
            .toList();
    return ways.size() == 1 ? model + " (" + ways.get(0) + ")" : model;
  }

  private Summary.Picture picture(int number, ImageEvent image, ContactSheet sheet) {
    byte[] png = new byte[image.getImage().remaining()];
    image.getImage().duplicate().get(png);
    String name = OutputFolder.pictureName(number, image.getPrompt());
    folder.write(name, png);
    List<String> unknown = words.map(known -> known.unknown(image.getPrompt())).orElse(List.of());
    if (sheet != null) {
      String note = image.getAttributes().getOrDefault(NOTE, "");
      sheet.add(
          PngCodec.decode(png),
          image.getPrompt(),
          "seed "
              + image.getSeed()
              + (note.isEmpty() ? "" : ", " + note)
              + (unknown.isEmpty() ? "" : ", does not know: " + String.join(", ", unknown)));
    }
    return new Summary.Picture(
        name,
        image.getPrompt(),
        image.getNegativePrompt(),
        image.getSeed(),
        image.getScheduler(),
        image.getSteps(),
        image.getGuidanceScale(),
        image.getWidth(),
        image.getHeight(),
        image.getPromptTruncated(),
        unknown,
        image.getDigest());
  }

  private static <T> Map<String, T> byId(List<T> events, Function<T, String> id) {
    return events.stream().collect(Collectors.toMap(id, Function.identity()));
  }

  private static double seconds(Duration duration) {
    return duration.toMillis() / 1000.0;
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
