/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.Box;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.credentials.Origin;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.imaging.Artifact;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.Composition;
import io.github.flinkdiffusion.ops.imaging.Region;
import io.github.flinkdiffusion.ops.imaging.Regions;
import io.github.flinkdiffusion.ops.imaging.VolumeComposition;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GeneratedText;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import io.github.flinkdiffusion.ops.serving.CredentialSettings;
import io.github.flinkdiffusion.ops.serving.ImageSettings;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.IntFunction;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** The event of a finished image task. */
final class ImageTaskResult {
  private ImageTaskResult() {}

  /**
   * Puts the tiles together, encodes the pictures and stores those that are too large for the
   * event. Takes CPU time and may wait for file systems.
   *
   * @param kept a tile's result by its number
   * @param reader of them
   * @param model that has made them
   * @param deviceNanos device time that the task took
   * @throws ImageException when a picture cannot be written
   * @throws PayloadException when one cannot be stored
   */
  static ImageEvent compose(
      ImageTaskEvent task,
      OpenImageTask open,
      Map<Integer, Payload> kept,
      TileResults reader,
      Model model,
      long deviceNanos,
      RequestHost host) {
    ImageSettings how = host.settings().image();
    CredentialSettings credentials = host.settings().credentials();
    Map<String, String> further = new TreeMap<>(open.furtherParameters(how));
    further.putAll(credentials.parameters());
    further.putAll(host.settings().auditAttributes().of(task.getAttributes()));
    Audit plain = Audit.of(model, open.whole(), open.inputDigests(), further);
    ResultMeaning meaning = model.result(open.first().arguments());
    Raster first =
        IntStream.range(0, kept.size())
            .filter(tile -> !TileResults.isEmpty(kept.get(tile)))
            .mapToObj(tile -> reader.read(kept.get(tile)))
            .findFirst()
            .orElseGet(() -> open.emptyResult(0, meaning));
    IntFunction<Raster> tiles =
        tile -> {
          if (!TileResults.isEmpty(kept.get(tile))) {
            return reader.read(kept.get(tile));
          }
          Window window = open.plan().resultWindow(tile);
          return Raster.filled(first.channels(), window.height(), window.width(), 0);
        };
    int slices = open.plan().slices();
    boolean color =
        slices == 1 && open.order(0, meaning, first, how, Map.of(), host.scratch()).isPlainColor();
    Audit audit =
        color
            ? host.settings()
                .marked(plain, 3, open.plan().resultHeight(first), open.plan().resultWidth(first))
            : plain;
    IntFunction<Composition.Order> orders =
        slice ->
            open.order(slice, meaning, first, how, host.settings().texts(audit), host.scratch());
    Composition composed =
        slices > 1
            ? VolumeComposition.compose(slices, orders, tiles)
            : Composition.compose(
                orders.apply(0), tiles, picture -> host.settings().mark(picture, audit));
    try {
      open.requireUnchanged();
      Supplier<List<Origin.Input>> inputs = open::credentials;
      UnaryOperator<Artifact> signed = file -> credentials.sign(file, audit, inputs);
      return event(task, composed.with(signed), audit, open.first(), deviceNanos, host.payloads());
    } finally {
      Stream.of(Optional.of(composed.picture()), composed.mask(), composed.uncertainty())
          .flatMap(Optional::stream)
          .flatMap(artifact -> artifact.file().stream())
          .forEach(Composition::deleteQuietly);
    }
  }

  /** The event of a finished text. */
  static TextEvent text(
      ImageTaskEvent task,
      OpenImageTask open,
      GeneratedImage result,
      Model model,
      long deviceNanos,
      RequestHost host) {
    Audit audit =
        Audit.of(
            model,
            open.whole(),
            open.inputDigests(),
            open.furtherParameters(host.settings().image()));
    GeneratedText text = result.text().orElseThrow();
    Map<String, Double> scores = new TreeMap<>();
    text.shares().forEach((label, share) -> scores.put(label, (double) share));
    return TextEvent.newBuilder()
        .setId(task.getId())
        .setText(text.text())
        .setTokens(text.tokens())
        .setEnded(text.ended())
        .setScores(scores)
        .setPrompt(task.getPrompt())
        .setSeed(open.first().seed())
        .setModel(audit.model())
        .setModelDigest(audit.modelDigest())
        .setAudit(AuditRecords.of(audit))
        .setAttributes(task.getAttributes())
        .setOriginal(Events.original(RequestEvent.of(task)))
        .setContext(task.getContext())
        .setDeviceSeconds(Events.seconds(deviceNanos))
        .build();
  }

  private static ImageEvent event(
      ImageTaskEvent task,
      Composition composed,
      Audit audit,
      GenerationRequest first,
      long deviceNanos,
      PayloadStore payloads) {
    return Payloads.setPicture(ImageEvent.newBuilder(), payload(composed.picture(), payloads))
        .setId(task.getId())
        .setWidth(composed.width())
        .setHeight(composed.height())
        .setMask(composed.mask().map(mask -> payload(mask, payloads)).orElse(null))
        .setUncertainty(
            composed.uncertainty().map(spread -> payload(spread, payloads)).orElse(null))
        .setRegions(composed.regions().map(ImageTaskResult::regions).orElse(null))
        .setPrompt(task.getPrompt())
        .setNegativePrompt(task.getNegativePrompt())
        .setSeed(first.seed())
        .setSteps(first.steps())
        .setGuidanceScale(first.guidanceScale())
        .setScheduler(first.scheduler())
        .setModel(audit.model())
        .setModelDigest(audit.modelDigest())
        .setAudit(AuditRecords.of(audit))
        .setAttributes(task.getAttributes())
        .setOriginal(Events.original(RequestEvent.of(task)))
        .setContext(task.getContext())
        .setDeviceSeconds(Events.seconds(deviceNanos))
        .build();
  }

  private static io.github.flinkdiffusion.connector.event.Regions regions(Regions found) {
    return io.github.flinkdiffusion.connector.event.Regions.newBuilder()
        .setCrs(found.crs().orElse(null))
        .setItems(found.items().stream().map(ImageTaskResult::region).toList())
        .build();
  }

  private static io.github.flinkdiffusion.connector.event.Region region(Region region) {
    return io.github.flinkdiffusion.connector.event.Region.newBuilder()
        .setLabel(region.label())
        .setScore(region.score())
        .setAreaPixels(region.areaPixels())
        .setArea(region.area())
        .setAreaUnit(region.areaUnit())
        .setBox(
            new Box(
                region.box().x(), region.box().y(), region.box().width(), region.box().height()))
        .setGeometry(region.geometry())
        .build();
  }

  private static Payload payload(Artifact artifact, PayloadStore payloads) {
    Optional<Path> file = artifact.file();
    return file.isPresent()
        ? payloads.write(file.get(), artifact.mediaType())
        : payloads.write(artifact.bytes().orElseThrow(), artifact.mediaType());
  }
}
