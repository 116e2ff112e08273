/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import javax.imageio.ImageIO;

/** Shares of classes as one bar for each group, with a legend; a picture for a report. */
final class ShareChart {
  private static final int MARGIN = 16;
  private static final int LABEL = 230;
  private static final int BAR = 560;
  private static final int ROW = 26;
  private static final int LEGEND_ROW = 22;
  private static final int LEGEND_COLUMN = 160;
  private static final Color INK = new Color(0x24292F);
  private static final Color EDGE = new Color(0x9AA4AF);

  private final List<String> classes;
  private final List<Color> colors;

  /**
   * @param colors {@code #rrggbb} by class; null for some that differ
   */
  ShareChart(List<String> classes, Map<String, String> colors) {
    this.classes = classes;
    this.colors =
        java.util.stream.IntStream.range(0, classes.size())
            .mapToObj(
                i ->
                    colors == null
                        ? Color.getHSBColor(
                            i * 0.618034f % 1, 0.45f + 0.25f * (i % 2), 0.92f - 0.2f * (i % 3))
                        : Color.decode(colors.get(classes.get(i))))
            .toList();
  }

  byte[] png(Map<String, long[]> countsByGroup) {
    int columns = Math.max(1, (LABEL + BAR) / LEGEND_COLUMN);
    int legend = (classes.size() + columns - 1) / columns * LEGEND_ROW;
    int width = LABEL + BAR + 2 * MARGIN;
    int height = countsByGroup.size() * ROW + legend + 3 * MARGIN;
    BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = image.createGraphics();
    graphics.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
    graphics.setRenderingHint(
        RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
    graphics.setColor(Color.WHITE);
    graphics.fillRect(0, 0, width, height);
    graphics.setFont(new Font(Font.SANS_SERIF, Font.PLAIN, 13));
    int y = MARGIN;
    for (Map.Entry<String, long[]> group : countsByGroup.entrySet()) {
      graphics.setColor(INK);
      graphics.drawString(fitting(graphics, group.getKey()), MARGIN, y + 16);
      bar(graphics, group.getValue(), y);
      y += ROW;
    }
    y += MARGIN;
    for (int i = 0; i < classes.size(); i++) {
      int x = MARGIN + i % columns * LEGEND_COLUMN;
      int top = y + i / columns * LEGEND_ROW;
      box(graphics, x, top, 14, 14, colors.get(i));
      graphics.setColor(INK);
      graphics.drawString(classes.get(i), x + 20, top + 12);
    }
    graphics.dispose();
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try {
      ImageIO.write(image, "png", out);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return out.toByteArray();
  }

  private void bar(Graphics2D graphics, long[] counts, int y) {
    double total = Math.max(1, Arrays.stream(counts).sum());
    double begin = 0;
    for (int i = 0; i < counts.length; i++) {
      double end = begin + BAR * counts[i] / total;
      if (counts[i] > 0) {
        int from = (int) Math.round(begin);
        box(
            graphics,
            MARGIN + LABEL + from,
            y + 2,
            (int) Math.round(end) - from,
            ROW - 6,
            colors.get(i));
      }
      begin = end;
    }
  }

  private static void box(Graphics2D graphics, int x, int y, int width, int height, Color color) {
    graphics.setColor(color);
    graphics.fillRect(x, y, width, height);
    graphics.setColor(EDGE);
    graphics.drawRect(x, y, width, height);
  }

  private static String fitting(Graphics2D graphics, String text) {
    String fitting = text;
    while (graphics.getFontMetrics().stringWidth(fitting) > LABEL - 10 && fitting.length() > 1) {
      fitting = fitting.substring(0, fitting.length() - 2) + "\u2026";
    }
    return fitting;
  }
}
