/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import com.fasterxml.jackson.databind.JsonNode;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.geom.Path2D;
import java.awt.geom.Rectangle2D;
import java.awt.image.BufferedImage;
import java.awt.image.DataBufferByte;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Where an instance of COCO's annotations is, as its format writes it: polygons, run lengths of
 * columns, or run lengths packed into a text ({@code rleToString} of pycocotools' {@code
 * maskApi.c}). A pixel is in a polygon if its middle is; pycocotools' own edge may be a pixel off.
 */
final class CocoMask {
  private final int width;
  private final int height;
  private final byte[] inside;

  /**
   * @param width of the image, in pixels
   * @param height of the image, in pixels
   */
  CocoMask(int width, int height) {
    this.width = width;
    this.height = height;
    this.inside = new byte[width * height];
  }

  /**
   * Adds an instance.
   *
   * @param segmentation of an annotation
   * @throws IllegalArgumentException if it is in none of the three forms, or of another size
   */
  void add(JsonNode segmentation) {
    if (segmentation.isArray()) {
      for (JsonNode polygon : segmentation) {
        addPolygon(polygon);
      }
    } else if (segmentation.path("counts").isArray()) {
      JsonNode counts = segmentation.path("counts");
      long[] runs = new long[counts.size()];
      for (int i = 0; i < runs.length; i++) {
        runs[i] = counts.get(i).asLong(-1);
      }
      addRuns(segmentation, runs);
    } else if (segmentation.path("counts").isTextual()) {
      addRuns(segmentation, unpacked(segmentation.path("counts").asText()));
    } else {
      throw new IllegalArgumentException(
          "a segmentation that is neither polygons nor {\"size\", \"counts\"}");
    }
  }

  /** Adds a box: left, top, width, height in pixels. */
  void addBox(JsonNode box) {
    if (box.size() != 4) {
      throw new IllegalArgumentException("a bbox of " + box.size() + " numbers; expected 4");
    }
    double left = box.get(0).asDouble();
    double top = box.get(1).asDouble();
    Path2D.Double path = new Path2D.Double();
    path.append(
        new Rectangle2D.Double(left, top, box.get(2).asDouble(), box.get(3).asDouble()), false);
    fill(path);
  }

  private void addPolygon(JsonNode polygon) {
    if (polygon.size() < 6 || polygon.size() % 2 != 0) {
      throw new IllegalArgumentException(
          "a polygon of %d numbers; expected pairs x, y, at least 3".formatted(polygon.size()));
    }
    Path2D.Double path = new Path2D.Double();
    path.moveTo(polygon.get(0).asDouble(), polygon.get(1).asDouble());
    for (int i = 2; i < polygon.size(); i += 2) {
      path.lineTo(polygon.get(i).asDouble(), polygon.get(i + 1).asDouble());
    }
    path.closePath();
    fill(path);
  }

  private void fill(Path2D path) {
    BufferedImage canvas = new BufferedImage(width, height, BufferedImage.TYPE_BYTE_GRAY);
    Graphics2D graphics = canvas.createGraphics();
    graphics.setColor(Color.WHITE);
    graphics.fill(path);
    graphics.dispose();
    byte[] filled = ((DataBufferByte) canvas.getRaster().getDataBuffer()).getData();
    for (int i = 0; i < inside.length; i++) {
      inside[i] |= filled[i];
    }
  }

  /** Runs go down the columns, those outside and those inside in turn. */
  private void addRuns(JsonNode segmentation, long[] runs) {
    JsonNode size = segmentation.path("size");
    if (size.size() != 2 || size.get(0).asInt() != height || size.get(1).asInt() != width) {
      throw new IllegalArgumentException(
          "run lengths of size %s in an image of %d x %d".formatted(size, height, width));
    }
    long at = 0;
    for (int i = 0; i < runs.length; i++) {
      if (runs[i] < 0 || at + runs[i] > inside.length) {
        throw new IllegalArgumentException("run lengths that leave the image");
      }
      if (i % 2 == 1) {
        for (long j = at; j < at + runs[i]; j++) {
          inside[(int) (j % height) * width + (int) (j / height)] = 1;
        }
      }
      at += runs[i];
    }
  }

  /**
   * Five bits a character, the lowest first; the sixth bit says that more follow. From the fourth
   * on, a run is the difference to the one two before it.
   */
  private static long[] unpacked(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
    long[] runs = new long[bytes.length];
    int count = 0;
    int at = 0;
    while (at < bytes.length) {
      long value = 0;
      int shift = 0;
      boolean more = true;
      while (more) {
        if (at == bytes.length || bytes[at] < 48 || bytes[at] > 111 || shift > 55) {
          throw new IllegalArgumentException("packed run lengths that are cut or damaged");
        }
        int bits = bytes[at++] - 48;
        value |= (bits & 0x1fL) << shift;
        shift += 5;
        more = (bits & 0x20) != 0;
        if (!more && (bits & 0x10) != 0) {
          value |= -1L << shift;
        }
      }
      runs[count] = value + (count > 2 ? runs[count - 2] : 0);
      count++;
    }
    return Arrays.copyOf(runs, count);
  }

  /** 1 inside, 0 outside, by rows. */
  float[] values() {
    float[] values = new float[inside.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = inside[i] == 0 ? 0 : 1;
    }
    return values;
  }
}
