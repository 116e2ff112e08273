/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.examples.gallery.Gallery;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.operator.AuditRecords;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.flink.configuration.Configuration;

/** Makes a result of the gallery again, as {@code examples/replay} does. */
final class GalleryReplayer implements Gallery.Replayer {
  private static final double TOLERANCE = 0.004;
  private static final int BATCH_ROWS = 8;

  private final Map<String, Path> models;
  private final List<String> payloads;
  private final String device;

  /**
   * @param models folders by the names that audit records have of them
   * @param payloads folders below which images may lie that events name
   */
  GalleryReplayer(Map<String, Path> models, List<String> payloads, String device) {
    this.models = models;
    this.payloads = payloads;
    this.device = device;
  }

  @Override
  public Gallery.Replayed replay(String name, byte[] event, byte[] image) throws Exception {
    try (TemporaryFolder scratch = TemporaryFolder.create("flink-diffusion-replay")) {
      RecordedResult result = RecordedResult.of(name, event, payloads, scratch.path());
      Audit audit = result.audit();
      Path model = models.get(audit.model());
      if (model == null) {
        throw new DemoException(
            "The result was made by the model %s, which is not here; here are %s."
                .formatted(audit.model(), models.keySet()));
      }
      ModelFolder folder = ModelFolder.open(model);
      if (!folder.digest().equals(audit.modelDigest())) {
        throw new DemoException(
            "The folder %s holds another model now: its digest is %s, and the record says %s."
                .formatted(
                    model,
                    ReplayReport.brief(folder.digest()),
                    ReplayReport.brief(audit.modelDigest())));
      }
      Configuration settings = new Configuration();
      settings.set(DiffusionOptions.MODEL_FOLDER, model.toAbsolutePath().toString());
      settings.set(DiffusionOptions.DEVICE, device);
      // Measuring the device would take longer than the request.
      settings.set(DiffusionOptions.BATCH_ROWS, BATCH_ROWS);
      settings.set(DiffusionOptions.AUDIT_IN_IMAGES, result.inPicture());
      long begin = System.nanoTime();
      Path again = scratch.path().resolve("again");
      Files.createDirectory(again);
      ReplayRun run = new ReplayRun(settings, again);
      ImageEvent remade = run.make(audit, inputs(image, scratch.path()));
      Comparison comparison = Comparison.of(result.picture(), run.file(result.sameOf(remade)));
      Comparison.Verdict verdict = comparison.verdict(TOLERANCE);
      return new Gallery.Replayed(
          verdict.toString(),
          ReplayReport.verdict(verdict, TOLERANCE)
              + differences(audit, remade)
              + String.format(
                  Locale.ROOT,
                  " Took %.1f s.",
                  Duration.ofNanos(System.nanoTime() - begin).toMillis() / 1000.0));
    }
  }

  private static String differences(Audit audit, ImageEvent remade) {
    List<String> differences = audit.differences(AuditRecords.audit(remade.getAudit()));
    return differences.isEmpty() ? "" : " Differs in " + String.join("; ", differences) + ".";
  }

  private static Map<String, Path> inputs(byte[] image, Path scratch) throws Exception {
    if (image == null) {
      return Map.of();
    }
    Path file = Files.write(scratch.resolve("input"), image);
    return Map.of(Parameters.IMAGE.name(), file);
  }
}
