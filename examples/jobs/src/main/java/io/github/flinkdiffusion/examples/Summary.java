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
 * @param parallelism of the job; null of one that this run has not started
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
    Integer parallelism,
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
   * @param unseen whether the model was trained without the combination that the prompt asks for
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
      boolean unseen,
      String digest) {}

  /** A request that could not be done, and why. */
  record Failure(
      String id, String prompt, List<String> unknownWords, String reason, String message) {}

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
        "%s in %.1f s, %.1f s of it %s",
        Count.of(pictures.size(), prompts, "image"),
        seconds.total(),
        seconds.making(),
        parallelism == null ? "until the job had answered" : "for the Flink job from start to end");
    // Nothing is known of a job that runs elsewhere.
    if (batches.calls() > 0) {
      line(
          text,
          "%s of %.1f rows on average, the largest of %d (an image with guidance takes 2)",
          Count.of(batches.calls(), "network call"),
          batches.meanRows(),
          batches.largestRows());
    }
    line(
        text,
        "%s on %s, %s",
        model,
        device,
        parallelism == null ? "by a job that runs elsewhere" : "parallelism " + parallelism);
    long truncated = pictures.stream().filter(Picture::promptTruncated).count();
    if (truncated > 0) {
      line(
          text,
          "%s longer than the model reads; the rest was not used",
          truncated == 1 ? "1 prompt was" : truncated + " prompts were");
    }
    Map<String, List<String>> unknown = new LinkedHashMap<>();
    pictures.forEach(picture -> unknown.put(picture.prompt(), picture.unknownWords()));
    failures.forEach(failure -> unknown.put(failure.prompt(), failure.unknownWords()));
    unknown.values().removeIf(List::isEmpty);
    if (!unknown.isEmpty()) {
      line(
          text,
          "%s words that the model does not know, and does not draw:",
          unknown.size() == 1 ? "1 prompt has" : unknown.size() + " prompts have");
      unknown.forEach((prompt, words) -> line(text, "  %s: %s", prompt, String.join(", ", words)));
    }
    long unseen = pictures.stream().filter(Picture::unseen).count();
    if (unseen > 0) {
      line(
          text,
          "%s marked unseen: the model was not trained on that thing in that size on that background",
          unseen == 1 ? "1 image is" : unseen + " images are");
    }
    line(text, "%s", Count.of(failures.size(), "failure"));
    // A wrong setting fails all requests with the same sentence.
    Map<String, List<Failure>> alike =
        failures.stream()
            .collect(
                Collectors.groupingBy(
                    f -> f.reason() + ": " + f.message(), LinkedHashMap::new, Collectors.toList()));
    alike.forEach(
        (why, those) -> {
          String others =
              those.size() == 1 ? "" : " and " + Count.of(those.size() - 1, "other prompt");
          line(text, "  \"%s\"%s: %s", those.get(0).prompt(), others, why);
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
