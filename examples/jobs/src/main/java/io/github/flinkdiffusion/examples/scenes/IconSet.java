/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.github.weisj.jsvg.SVGDocument;
import com.github.weisj.jsvg.parser.LoaderContext;
import com.github.weisj.jsvg.parser.SVGLoader;
import com.github.weisj.jsvg.view.ViewBox;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * One emoji set in Iconify's JSON format: vector drawings by name. The same name means the same
 * emoji in every set, so a set is a style.
 *
 * @see <a href="https://iconify.design/docs/types/iconify-json.html">IconifyJSON</a>
 */
public final class IconSet {
  private record Drawing(String body, double left, double top, double width, double height) {}

  private final String prefix;
  private final Map<String, Drawing> drawings;

  private IconSet(String prefix, Map<String, Drawing> drawings) {
    this.prefix = prefix;
    this.drawings = drawings;
  }

  /**
   * Reads {@code icons.json} of an npm package {@code @iconify-json/...}.
   *
   * @throws IOException if the file cannot be read or is no icon set
   */
  public static IconSet open(Path file) throws IOException {
    JsonNode json = new ObjectMapper().readTree(file.toFile());
    JsonNode icons = json.path("icons");
    if (!icons.isObject() || !json.path("prefix").isTextual()) {
      throw new IOException(
          file + " is no icon set: expected the icons.json of an npm package @iconify-json/...");
    }
    Map<String, Drawing> drawings = new TreeMap<>();
    icons
        .properties()
        .forEach(
            icon ->
                drawings.put(
                    icon.getKey(),
                    new Drawing(
                        icon.getValue().path("body").asText(),
                        size(icon.getValue(), json, "left", 0),
                        size(icon.getValue(), json, "top", 0),
                        size(icon.getValue(), json, "width", 16),
                        size(icon.getValue(), json, "height", 16))));
    return new IconSet(json.path("prefix").asText(), drawings);
  }

  /** An icon's own value, else the set's, else the format's. */
  private static double size(JsonNode icon, JsonNode set, String field, double otherwise) {
    return icon.path(field).asDouble(set.path(field).asDouble(otherwise));
  }

  /** The set's short name, e.g. {@code noto}. */
  public String prefix() {
    return prefix;
  }

  /** Names of all icons, sorted. */
  public Set<String> names() {
    return Collections.unmodifiableSet(drawings.keySet());
  }

  /**
   * Draws an icon on a transparent square.
   *
   * @param side pixels
   * @throws IOException if the set has no such icon, or it is no valid SVG
   */
  public BufferedImage draw(String name, int side) throws IOException {
    Drawing drawing = drawings.get(name);
    if (drawing == null) {
      throw new IOException("Icon set " + prefix + " has no icon '" + name + "'.");
    }
    String svg =
        ("<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\""
                + " width=\"%d\" height=\"%d\" viewBox=\"%s %s %s %s\">%s</svg>")
            .formatted(
                side, side, drawing.left, drawing.top, drawing.width, drawing.height, drawing.body);
    SVGDocument document =
        new SVGLoader()
            .load(
                new ByteArrayInputStream(svg.getBytes(StandardCharsets.UTF_8)),
                null,
                LoaderContext.createDefault());
    if (document == null) {
      throw new IOException("Icon '" + name + "' of set " + prefix + " is no valid SVG.");
    }
    BufferedImage image = new BufferedImage(side, side, BufferedImage.TYPE_INT_ARGB);
    Graphics2D graphics = image.createGraphics();
    try {
      graphics.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
      graphics.setRenderingHint(
          RenderingHints.KEY_STROKE_CONTROL, RenderingHints.VALUE_STROKE_PURE);
      document.render((java.awt.Component) null, graphics, new ViewBox(0, 0, side, side));
    } finally {
      graphics.dispose();
    }
    return image;
  }
}
