/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * What a run did; {@code summary.json} has these fields by these names.
 *
 * @param model name of the model folder
 * @param modelDigest SHA-256 of the model; empty when there is no picture
 * @param device where the networks ran
 * @param parallelism of the job
 * @param prompts how many were sent
 * @param pictures those that came back, in the order of their requests
 * @param failures those that could not be done, in the order of their requests
 * @param seconds how long things took
 * @param batches what the network calls were like
 */
record Summary(
    String model,
    String modelDigest,
    String device,
    int parallelism,
    int prompts,
    List<Picture> pictures,
    List<Failure> failures,
    Seconds seconds,
    BatchSizes batches) {

  /**
   * A picture and what makes it again.
   *
   * @param file name below the output folder
   * @param digest SHA-256 of the file
   * @param promptTruncated whether the prompt was longer than the tokenizer takes
   * @param unknownWords of the prompt, which the model was not trained with, as far as it says
   */
  record Picture(
      String file,
      String prompt,
      String negativePrompt,
      long seed,
      String scheduler,
      int steps,
      double guidanceScale,
      int width,
      int height,
      boolean promptTruncated,
      List<String> unknownWords,
      String digest) {}

  /** A request that could not be done, and why. */
  record Failure(String id, String reason, String message) {}

  /**
   * Times in seconds.
   *
   * @param making from the start of the Flink cluster to its end, when every result was committed:
   *     loading the model, every step, writing, committing
   * @param total the run, with starting and stopping the broker
   */
  record Seconds(double making, double total) {}

  /**
   * Rows of network calls. A request takes one row, or two with guidance.
   *
   * @param calls network calls
   * @param meanRows rows of a call, on average
   * @param largestRows rows of the fullest call
   */
  record BatchSizes(long calls, double meanRows, long largestRows) {}

  /** A few lines for a person. */
  String text() {
    StringBuilder text = new StringBuilder();
    line(
        text,
        "%d of %d images in %.1f s, %.1f s of it for the Flink job from start to end",
        pictures.size(),
        prompts,
        seconds.total(),
        seconds.making());
    // Nothing is known of a job that runs elsewhere.
    if (batches.calls() > 0) {
      line(
          text,
          "%d network calls of %.1f rows on average, the largest of %d (an image with guidance"
              + " takes 2)",
          batches.calls(),
          batches.meanRows(),
          batches.largestRows());
    }
    line(text, "%s on %s, parallelism %d", model, device, parallelism);
    long truncated = pictures.stream().filter(Picture::promptTruncated).count();
    if (truncated > 0) {
      line(
          text, "%d prompts were longer than the model reads; their ends were not used", truncated);
    }
    Map<String, List<String>> unknown = new LinkedHashMap<>();
    pictures.stream()
        .filter(picture -> !picture.unknownWords().isEmpty())
        .forEach(picture -> unknown.put(picture.prompt(), picture.unknownWords()));
    if (!unknown.isEmpty()) {
      line(
          text,
          "%d prompts have words that %s does not know, and does not draw:",
          unknown.size(),
          model);
      unknown.forEach((prompt, words) -> line(text, "  %s: %s", prompt, String.join(", ", words)));
    }
    line(text, "%d failures", failures.size());
    // A wrong setting fails all requests with the same sentence.
    Map<String, List<Failure>> alike =
        failures.stream()
            .collect(
                Collectors.groupingBy(
                    f -> f.reason() + ": " + f.message(), LinkedHashMap::new, Collectors.toList()));
    alike.forEach(
        (why, those) -> {
          String others = those.size() == 1 ? "" : " and " + (those.size() - 1) + " others";
          line(text, "  %s%s: %s", those.get(0).id(), others, why);
        });
    return text.toString();
  }

  private static void line(StringBuilder text, String format, Object... values) {
    text.append(String.format(Locale.ROOT, format, values)).append('\n');
  }

  String json() {
    try {
      return new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsString(this) + "\n";
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("A summary is always representable as JSON.", e);
    }
  }
}
