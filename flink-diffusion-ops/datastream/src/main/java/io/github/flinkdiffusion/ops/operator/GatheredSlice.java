/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.ops.image.DicomSlice;
import io.github.flinkdiffusion.ops.image.SlicePlace;
import java.util.Arrays;
import java.util.Optional;

/**
 * A slice of a series: where its file is, and what its header says. This is what state holds of it,
 * as JSON; later versions may add to it.
 *
 * @param request the id of the request that named it
 * @param series the UID of its series
 * @param instance its own UID
 * @param place position, direction of rows and of columns, 3 numbers each; null if unknown
 * @param spacing along x and y in millimetres; null if unknown
 * @param expected slices of the series by the header, 0 if unknown
 */
@JsonIgnoreProperties(ignoreUnknown = true)
record GatheredSlice(
    String request,
    String uri,
    String sha256,
    long length,
    String series,
    String instance,
    String frameOfReference,
    int columns,
    int rows,
    boolean color,
    int expected,
    double[] spacing,
    double[] place) {
  private static final ObjectMapper JSON = new ObjectMapper();

  static GatheredSlice of(String request, PayloadReference file, DicomSlice header) {
    return new GatheredSlice(
        request,
        file.getUri(),
        file.getSha256(),
        file.getLength(),
        header.series(),
        header.instance(),
        header.frameOfReference(),
        header.columns(),
        header.rows(),
        header.color(),
        header.expected().orElse(0),
        header.spacing().map(size -> new double[] {size.x(), size.y()}).orElse(null),
        header.place().map(GatheredSlice::numbers).orElse(null));
  }

  private static double[] numbers(SlicePlace place) {
    double[] numbers = new double[9];
    SlicePlace.Vector[] vectors = {place.position(), place.alongRow(), place.alongColumn()};
    for (int i = 0; i < vectors.length; i++) {
      numbers[3 * i] = vectors[i].x();
      numbers[3 * i + 1] = vectors[i].y();
      numbers[3 * i + 2] = vectors[i].z();
    }
    return numbers;
  }

  static GatheredSlice parse(String json) {
    try {
      return JSON.readValue(json, GatheredSlice.class);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("A slice of a series in state: " + json, e);
    }
  }

  String json() {
    try {
      return JSON.writeValueAsString(this);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  PayloadReference file() {
    return new PayloadReference(uri, sha256, length);
  }

  @JsonIgnore
  Optional<SlicePlace> where() {
    return Optional.ofNullable(place)
        .map(n -> new SlicePlace(vector(n, 0), vector(n, 3), vector(n, 6)));
  }

  private static SlicePlace.Vector vector(double[] numbers, int from) {
    return new SlicePlace.Vector(numbers[from], numbers[from + 1], numbers[from + 2]);
  }

  /** What all slices of a volume have in common, in words. */
  String kind() {
    return "%d x %d %s pixels%s"
        .formatted(
            columns,
            rows,
            color ? "color" : "gray",
            spacing == null ? "" : " of " + Arrays.toString(spacing) + " mm");
  }
}
