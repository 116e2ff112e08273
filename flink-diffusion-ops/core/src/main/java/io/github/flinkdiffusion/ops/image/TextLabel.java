/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import org.apache.flink.annotation.Internal;

/**
 * A line of text in the lower left corner of a picture, white on a dark ground. The characters are
 * a resource of this project, so a label needs no font and has the same pixels on each machine.
 */
@Internal
public final class TextLabel {
  /** Characters of a text. */
  public static final int MOST_CHARACTERS = 60;

  private static final char FIRST = ' ';
  private static final char LAST = '~';
  private static final int CELL_WIDTH = 12;
  private static final int CELL_HEIGHT = 24;
  private static final int MOST_CHANNELS = 4;

  /** A label's height, as a share of the picture's shorter side. */
  private static final double SHARE = 0.06;

  private static final int LEAST_HEIGHT = 10;

  /** How much of the picture is seen through the ground. */
  private static final float THROUGH = 0.25f;

  private static final class Glyphs {
    static final Raster SHEET = read();

    private static Raster read() {
      try (InputStream in = TextLabel.class.getResourceAsStream("label-glyphs.png")) {
        return Images.read(in.readAllBytes(), ReadOptions.DEFAULT);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private TextLabel() {}

  /** Whether a text has 1 to {@value #MOST_CHARACTERS} characters, all of them in ASCII. */
  public static boolean isText(String text) {
    return !text.isBlank()
        && text.length() <= MOST_CHARACTERS
        && text.chars().allMatch(each -> each >= FIRST && each <= LAST);
  }

  /** Whether a picture of that size is wide enough for the text. */
  public static boolean fits(String text, int height, int width) {
    int tall = height(height, width);
    return tall < height && width(text, tall) <= width;
  }

  private static int height(int height, int width) {
    return Math.max(LEAST_HEIGHT, (int) Math.round(SHARE * Math.min(height, width)));
  }

  /** With half a character on either side. */
  private static int width(String text, int tall) {
    return (int) Math.ceil((text.length() + 1.0) * CELL_WIDTH * tall / CELL_HEIGHT);
  }

  /**
   * The picture with the text on it.
   *
   * @param picture 1 to 4 channels, of a size that {@link #fits fits}
   * @throws ImageException if it does not, or has more channels
   */
  public static Raster draw(Raster picture, String text) {
    int height = picture.height();
    int width = picture.width();
    if (!isText(text) || !fits(text, height, width) || picture.channels() > MOST_CHANNELS) {
      throw new ImageException(
          "%s cannot have the label '%s'; expected 1 to 4 channels and a label that fits"
              .formatted(picture, text));
    }
    int tall = height(height, width);
    int wide = width(text, tall);
    float[] line = line(text);
    Raster letters =
        PilResize.resize(
            new Raster(1, CELL_HEIGHT, CELL_WIDTH * (text.length() + 1), line),
            tall,
            wide,
            PilResize.Filter.BILINEAR);
    float[] data = picture.data().clone();
    boolean alpha = picture.channels() == 2 || picture.channels() == MOST_CHANNELS;
    int top = height - tall;
    for (int c = 0; c < picture.channels(); c++) {
      boolean opaque = alpha && c == picture.channels() - 1;
      for (int y = 0; y < tall; y++) {
        for (int x = 0; x < wide; x++) {
          int at = (c * height + top + y) * width + x;
          float letter = letters.at(0, y, x);
          data[at] = opaque ? 1 : letter + (1 - letter) * THROUGH * data[at];
        }
      }
    }
    return new Raster(
        picture.channels(), height, width, data, picture.format(), picture.metadata());
  }

  private static float[] line(String text) {
    Raster sheet = Glyphs.SHEET;
    int wide = CELL_WIDTH * (text.length() + 1);
    float[] line = new float[CELL_HEIGHT * wide];
    for (int i = 0; i < text.length(); i++) {
      int from = (text.charAt(i) - FIRST) * CELL_WIDTH;
      for (int y = 0; y < CELL_HEIGHT; y++) {
        for (int x = 0; x < CELL_WIDTH; x++) {
          line[y * wide + CELL_WIDTH / 2 + i * CELL_WIDTH + x] = sheet.at(0, y, from + x);
        }
      }
    }
    return line;
  }
}
