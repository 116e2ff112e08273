/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureMessages;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.credentials.Origin;
import io.github.flinkdiffusion.ops.credentials.PriorCredentials;
import io.github.flinkdiffusion.ops.image.DecodedSize;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageLimits;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.Scene;
import io.github.flinkdiffusion.ops.imaging.TaskPlan;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.serving.ImageSettings;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * The images of a request's field {@code images}, by the parameter that each is: first as files,
 * whose headers alone have been looked at, then decoded.
 */
final class NamedImages implements AutoCloseable {
  static final NamedImages NONE = new NamedImages(Map.of(), null, 0);

  /** Whose pixels stand where the result's do; the others are looked at as a whole. */
  private static final Set<Parameter<Raster>> PLACED =
      Set.of(
          Parameters.CONTROL_IMAGE,
          Parameters.CONTROL_IMAGE_2,
          Parameters.CONTROL_IMAGE_3,
          Parameters.CONTROL_IMAGE_4,
          Parameters.ADAPTER_IMAGE,
          Parameters.ADAPTER_IMAGE_2,
          Parameters.ADAPTER_IMAGE_3,
          Parameters.ADAPTER_IMAGE_4);

  private static final int MOST_SHOWN = 80;

  private final Map<Parameter<Raster>, TaskImage> files;
  private final ImageSettings settings;
  private final int channels;

  private NamedImages(
      Map<Parameter<Raster>, TaskImage> files, ImageSettings settings, int channels) {
    this.files = files;
    this.settings = settings;
    this.channels = channels;
  }

  /**
   * The parameters that images are, in the order of their names.
   *
   * @throws InvalidRequestException for a name that is no image which the model takes
   */
  static List<Parameter<Raster>> parameters(Collection<String> names, Model model) {
    List<Parameter<Raster>> parameters = new ArrayList<>();
    for (String name : names.stream().sorted().toList()) {
      Parameter<Raster> parameter =
          images(model).stream()
              .filter(each -> each.name().equals(name))
              .findFirst()
              .orElseThrow(() -> refused(name, model));
      parameters.add(parameter);
    }
    return parameters;
  }

  private static InvalidRequestException refused(String name, Model model) {
    if (isField(name)) {
      return new InvalidRequestException(
          "The request's images have '%s', which is a field of its own: send an ImageTaskEvent, and set its field %s."
              .formatted(name, name));
    }
    Optional<String> missing =
        Parameters.named(name).flatMap(each -> model.signature().missing(each));
    if (missing.isPresent()) {
      return new InvalidRequestException(
          "The request's images have '%s', which model %s takes only in a job with %s."
              .formatted(name, model.info().name(), missing.get()));
    }
    List<Parameter<Raster>> taken = images(model);
    return new InvalidRequestException(
        "The request's images have '%s', which model %s does not take; it takes %s."
            .formatted(
                FailureMessages.shortened(name, MOST_SHOWN),
                model.info().name(),
                taken.isEmpty()
                    ? "none"
                    : taken.stream().map(Parameter::name).collect(Collectors.joining(", "))));
  }

  private static boolean isField(String name) {
    return name.equals(Parameters.IMAGE.name()) || name.equals(Parameters.MASK.name());
  }

  private static List<Parameter<Raster>> images(Model model) {
    return all().stream().filter(each -> model.signature().takes(each)).toList();
  }

  /** Those that there are, but for what has a field of its own. */
  @SuppressWarnings("unchecked") // by its type
  static List<Parameter<Raster>> all() {
    return Parameters.all().stream()
        .filter(each -> each.type() == Raster.class && !isField(each.name()))
        .map(each -> (Parameter<Raster>) each)
        .toList();
  }

  /**
   * Fetches the images. Waits for files.
   *
   * @throws InvalidRequestException for a name that is no image which the model takes
   * @throws ImageException for a file that cannot be read
   */
  static NamedImages fetch(
      Map<String, Payload> images,
      ImageSettings how,
      Model model,
      PayloadStore payloads,
      Path scratch) {
    if (images.isEmpty()) {
      return NONE;
    }
    ImageSettings plain = how.withoutBandsAndRange();
    Map<Parameter<Raster>, TaskImage> files = new LinkedHashMap<>();
    NamedImages fetched = new NamedImages(files, plain, model.imageChannels());
    try {
      for (Parameter<Raster> parameter : parameters(images.keySet(), model)) {
        String name = parameter.name();
        files.put(
            parameter, TaskImage.fetchWhole(name, images.get(name), plain, payloads, scratch));
      }
      return fetched;
    } catch (RuntimeException | Error e) {
      fetched.close();
      throw e;
    }
  }

  /**
   * Heap that they take while they are decoded and after that.
   *
   * @throws ImageException for a file that cannot be read
   */
  long bytes() {
    double bytes = 0;
    for (TaskImage file : files.values()) {
      DecodedSize size = file.size(settings);
      bytes += Math.max(size.peakBytes(), whole(size));
      bytes += (double) size.pixels() * channels * Float.BYTES;
    }
    return (long) Math.min(bytes, Long.MAX_VALUE);
  }

  private static long whole(DecodedSize size) {
    return Math.min(size.wholeBytes(), ImageLimits.DEFAULT.maxBytes());
  }

  /** Their sizes, for people. */
  String extents() {
    return files.entrySet().stream()
        .map(file -> file.getKey() + " " + file.getValue().size(settings).extent())
        .collect(Collectors.joining(", "));
  }

  /**
   * Decodes them.
   *
   * @return with the bands that the model sees
   * @throws ImageException for a file that cannot be read, or has other bands
   */
  Map<Parameter<Raster>, Raster> read() {
    Map<Parameter<Raster>, Raster> rasters = new LinkedHashMap<>();
    files.forEach((parameter, file) -> rasters.put(parameter, file.whole(settings, channels)));
    return rasters;
  }

  /** SHA-256 of the files, by their parameters. */
  SortedMap<String, String> digests() {
    SortedMap<String, String> digests = new TreeMap<>();
    files.forEach((parameter, file) -> digests.put(parameter.name(), file.digest()));
    return digests;
  }

  /** The same of an event's, which need not be fetched. */
  static SortedMap<String, String> digests(Map<String, Payload> images) {
    SortedMap<String, String> digests = new TreeMap<>();
    images.forEach((name, payload) -> digests.put(name, TaskImage.digest(payload)));
    return digests;
  }

  /** What the images say of themselves. Reads their files. */
  List<Origin.Input> credentials() {
    return files.entrySet().stream()
        .map(file -> new Origin.Input(file.getKey().name(), false, file.getValue().credentials()))
        .toList();
  }

  /** The same of an event's images that were read before a restart, and not since. */
  static List<Origin.Input> unread(Map<String, Payload> images) {
    return images.keySet().stream()
        .sorted()
        .map(
            name ->
                new Origin.Input(
                    name, false, PriorCredentials.unread("the file was read before a restart")))
        .toList();
  }

  /**
   * @throws InvalidRequestException unless each image can be cut into tiles as the image is
   */
  static void requirePlaced(TaskPlan plan, Map<Parameter<Raster>, Raster> images) {
    images.forEach(
        (parameter, image) -> {
          if (PLACED.contains(parameter)
              && (image.width() != plan.width() || image.height() != plan.height())) {
            throw new InvalidRequestException(
                "%s is %d x %d pixels; the image is cut into tiles, so it must be as large as the image, %d x %d."
                    .formatted(
                        parameter, image.width(), image.height(), plan.width(), plan.height()));
          }
        });
  }

  /** What a tile sees of images. */
  static Map<Parameter<Raster>, Raster> ofTile(
      TaskPlan plan, int tile, Map<Parameter<Raster>, Raster> images) {
    Map<Parameter<Raster>, Raster> seen = new LinkedHashMap<>(images);
    seen.replaceAll(
        (parameter, image) ->
            PLACED.contains(parameter) ? plan.read(Scene.of(image, ""), tile) : image);
    return seen;
  }

  /** A request with images. */
  static GenerationSpec with(GenerationSpec spec, Map<Parameter<Raster>, Raster> images) {
    GenerationSpec all = spec;
    for (Map.Entry<Parameter<Raster>, Raster> image : images.entrySet()) {
      all = all.with(image.getKey(), image.getValue());
    }
    return all;
  }

  @Override
  public void close() {
    files.values().forEach(TaskImage::close);
  }
}
