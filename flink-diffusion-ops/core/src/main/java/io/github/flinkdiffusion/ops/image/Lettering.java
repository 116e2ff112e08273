/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.awt.Font;
import java.awt.FontMetrics;
import java.awt.Graphics2D;
import java.awt.GraphicsEnvironment;
import java.awt.font.FontRenderContext;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Text in one size. A character that the font does not have is drawn with another font of this
 * machine; one that none has is written as its code point, such as {@code U+1F984}, where Java
 * would draw an empty box.
 */
final class Lettering {
  /** Fonts of this machine, found when they are needed first, which takes a second. */
  private static final class Installed {
    static final List<Font> FONTS =
        List.of(GraphicsEnvironment.getLocalGraphicsEnvironment().getAllFonts());
  }

  /** Characters whose fonts are remembered; texts of one sheet have far fewer. */
  private static final int MOST_REMEMBERED = 4096;

  private static final int JOINER = 0x200D;

  private final FontMetrics metrics;
  private final Map<Integer, Optional<Font>> fonts =
      new LinkedHashMap<>() {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Integer, Optional<Font>> eldest) {
          return size() > MOST_REMEMBERED;
        }
      };

  private record Run(Font font, String text) {}

  Lettering(FontMetrics metrics) {
    this.metrics = metrics;
  }

  int height() {
    return metrics.getHeight();
  }

  int ascent() {
    return metrics.getAscent();
  }

  /** The text with code points in the place of characters that no font has. */
  String drawable(String text) {
    StringBuilder drawable = new StringBuilder();
    text.codePoints()
        .filter(c -> !isInvisible(c))
        .forEach(
            c -> {
              if (fontOf(c).isPresent()) {
                drawable.appendCodePoint(c);
              } else {
                drawable.append("U+%04X".formatted(c));
              }
            });
    return drawable.toString();
  }

  /** Pixels of a drawable text, rounded as a whole. */
  int width(String text) {
    double width = 0;
    for (Run run : runs(text)) {
      width += run.font().getStringBounds(run.text(), context()).getWidth();
    }
    return (int) Math.round(width);
  }

  /**
   * @param y of the base line
   */
  void draw(Graphics2D graphics, String text, int x, int y) {
    double left = x;
    for (Run run : runs(text)) {
      graphics.setFont(run.font());
      graphics.drawString(run.text(), (float) left, y);
      left += run.font().getStringBounds(run.text(), context()).getWidth();
    }
  }

  private List<Run> runs(String text) {
    List<Run> runs = new ArrayList<>();
    StringBuilder run = new StringBuilder();
    Font font = metrics.getFont();
    for (int i = 0; i < text.length(); i += Character.charCount(text.codePointAt(i))) {
      int c = text.codePointAt(i);
      Font of = fontOf(c).orElse(metrics.getFont());
      if (!of.equals(font) && run.length() > 0) {
        runs.add(new Run(font, run.toString()));
        run.setLength(0);
      }
      font = of;
      run.appendCodePoint(c);
    }
    if (run.length() > 0) {
      runs.add(new Run(font, run.toString()));
    }
    return runs;
  }

  private Optional<Font> fontOf(int c) {
    Font own = metrics.getFont();
    if (c < 0x80 || own.canDisplay(c)) {
      return Optional.of(own);
    }
    return fonts.computeIfAbsent(
        c,
        missing ->
            Installed.FONTS.stream()
                .filter(font -> font.canDisplay(missing) && hasOutline(font, missing))
                .findFirst()
                .map(font -> font.deriveFont(own.getStyle(), own.getSize2D())));
  }

  /** Java draws nothing of a font that holds its characters as small images, as emoji fonts do. */
  private boolean hasOutline(Font font, int c) {
    return !font.deriveFont(metrics.getFont().getSize2D())
        .createGlyphVector(context(), Character.toString(c))
        .getVisualBounds()
        .isEmpty();
  }

  /** What only changes how its neighbours look; alone it is nothing to read. */
  private static boolean isInvisible(int c) {
    return c == JOINER || c >= 0xFE00 && c <= 0xFE0F;
  }

  private FontRenderContext context() {
    return metrics.getFontRenderContext();
  }
}
