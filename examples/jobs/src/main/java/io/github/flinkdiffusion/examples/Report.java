/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.operator.AuditRecords;
import io.github.flinkdiffusion.ops.pipeline.Basis;
import java.math.BigDecimal;
import java.math.MathContext;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Results as files: pictures, a contact sheet and a summary, in the order of the requests. */
final class Report {
  private static final int SHEET_COLUMNS = 4;
  private static final int SHEET_PICTURE_PIXELS = 192;

  /** More would make a sheet that no viewer opens gladly. */
  private static final int SHEET_PICTURES = 100;

  private final OutputFolder folder;
  private final PromptNotes notes;
  private final PayloadStore payloads;
  private final Optional<OwnJob> job;

  private record OwnJob(String model, String device, int parallelism) {}

  private Report(
      OutputFolder folder, PromptNotes notes, PayloadStore payloads, Optional<OwnJob> job) {
    this.folder = folder;
    this.notes = notes;
    this.payloads = payloads;
    this.job = job;
  }

  /**
   * Of a job that this run has started.
   *
   * @param payloads where large images are
   * @param model name of its model's folder
   * @param device where the networks ran
   */
  static Report ofOwnJob(
      OutputFolder folder,
      PromptNotes notes,
      PayloadStore payloads,
      String model,
      String device,
      int parallelism) {
    return new Report(folder, notes, payloads, Optional.of(new OwnJob(model, device, parallelism)));
  }

  /** Of a job that runs elsewhere, of which its results tell. */
  static Report ofAnotherJob(OutputFolder folder, PromptNotes notes, PayloadStore payloads) {
    return new Report(folder, notes, payloads, Optional.empty());
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
    String model = model(results.images());
    ContactSheet sheet =
        ContactSheet.columns(SHEET_COLUMNS).pictureSize(SHEET_PICTURE_PIXELS).title(model);
    for (int i = 0; i < requests.size(); i++) {
      String id = requests.get(i).getId();
      ImageEvent image = images.get(id);
      if (image != null) {
        pictures.add(
            picture(
                i + 1, requests.get(i), image, pictures.size() < SHEET_PICTURES ? sheet : null));
      } else {
        FailureEvent failure = failures.get(id);
        failed.add(
            new Summary.Failure(
                id,
                requests.get(i).getPrompt(),
                notes.unknown(requests.get(i)),
                failure.getReason().name(),
                failure.getMessage()));
      }
    }
    String modelDigest =
        results.images().stream().map(ImageEvent::getModelDigest).findFirst().orElse("");
    Summary summary =
        new Summary(
            model,
            modelDigest,
            job.map(OwnJob::device).orElseGet(() -> device(results.images())),
            job.map(OwnJob::parallelism).orElse(null),
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

  private String model(List<ImageEvent> images) {
    String models =
        images.stream()
            .map(ImageEvent::getModel)
            .distinct()
            .sorted()
            .collect(Collectors.joining(", "));
    return models.isEmpty() ? job.map(OwnJob::model).orElse("unknown model") : models;
  }

  /** As the results' audit records have it. */
  private static String device(List<ImageEvent> images) {
    String devices =
        images.stream()
            .flatMap(
                image ->
                    Optional.ofNullable(image.getAudit())
                        .map(audit -> AuditRecords.audit(audit).loadedAs().get(Basis.DEVICE))
                        .stream())
            .distinct()
            .sorted()
            .collect(Collectors.joining(", "));
    return devices.isEmpty() ? "unknown device" : devices;
  }

  private Summary.Picture picture(
      int number, PromptEvent request, ImageEvent image, ContactSheet sheet) {
    byte[] png = payloads.read(Payloads.image(image));
    String name = OutputFolder.pictureName(number, image.getPrompt());
    folder.write(name, png);
    List<String> unknown = notes.unknown(request);
    boolean unseen = notes.isUnseen(request);
    if (sheet != null) {
      sheet.add(PngCodec.decode(png), image.getPrompt(), detail(request, image, unknown, unseen));
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
        unseen,
        image.getDigest());
  }

  /** What makes the image again, but for its prompt; what to know of it first. */
  static String detail(
      PromptEvent request, ImageEvent image, List<String> unknown, boolean unseen) {
    List<String> all = new ArrayList<>();
    all.add("seed " + image.getSeed());
    if (unseen) {
      all.add("unseen");
    }
    if (!unknown.isEmpty()) {
      all.add("does not know: " + String.join(", ", unknown));
    }
    all.add(Count.of(image.getSteps(), "step"));
    all.add(
        "guidance "
            + new BigDecimal(image.getGuidanceScale())
                .round(new MathContext(4))
                .stripTrailingZeros()
                .toPlainString());
    all.add(image.getScheduler());
    new TreeMap<>(request.getParameters()).forEach((name, value) -> all.add(name + " " + value));
    return String.join(", ", all);
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
