/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.geom.RoundRectangle2D;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * Pictures in a grid, each with a caption under it, for a person to look over.
 *
 * <p>Small pictures are enlarged by a whole factor with their pixels kept sharp, large ones are
 * reduced. Captions wrap over a few lines and end in an ellipsis if they are longer. Text is drawn
 * with the machine's fonts, so sheets from two machines may differ.
 *
 * <pre>{@code
 * byte[] png = ContactSheet.columns(4).title("30 steps").add(apple, "a red apple", "seed 7").toPng();
 * }</pre>
 */
@Internal
public final class ContactSheet {
  private static final Color PAPER = new Color(0xFFFFFF);
  private static final Color PICTURE_GROUND = new Color(0xF4F5F7);
  private static final Color HAIRLINE = new Color(0xDFE2E6);
  private static final Color INK = new Color(0x24292F);
  private static final Color PALE_INK = new Color(0x768390);

  private static final int MARGIN = 28;
  private static final int GAP = 20;
  private static final int CAPTION_GAP = 9;
  private static final int DETAIL_GAP = 3;
  private static final int TITLE_GAP = 18;
  private static final int CORNER = 6;
  private static final int MAX_CAPTION_LINES = 3;
  private static final int MAX_DETAIL_LINES = 4;
  private static final int DEFAULT_PICTURE_SIZE = 192;
  private static final String ELLIPSIS = "\u2026";

  private record Cell(BufferedImage picture, String caption, String detail) {}

  private final int columns;
  private final List<Cell> cells = new ArrayList<>();
  private int pictureSize = DEFAULT_PICTURE_SIZE;
  private String title = "";

  private ContactSheet(int columns) {
    this.columns = columns;
  }

  /** A sheet with so many pictures in a row. */
  public static ContactSheet columns(int columns) {
    if (columns < 1) {
      throw new ImageException(
          "A contact sheet with %d columns; at least 1 is needed".formatted(columns));
    }
    return new ContactSheet(columns);
  }

  /** The side, in pixels, of the square that each picture is fitted into; 192 if not set. */
  public ContactSheet pictureSize(int pixels) {
    if (pixels < 16 || pixels > 4096) {
      throw new ImageException(
          "Images of %d pixels on a contact sheet; 16 to 4096 are supported".formatted(pixels));
    }
    pictureSize = pixels;
    return this;
  }

  /** A line over all pictures. */
  public ContactSheet title(String text) {
    title = text;
    return this;
  }

  /** Adds a picture of 1 to 4 channels with a caption. */
  public ContactSheet add(Raster picture, String caption) {
    return add(picture, caption, "");
  }

  /**
   * Adds a picture.
   *
   * @param caption what it shows; wraps
   * @param detail smaller text under it, such as seed and steps; wraps, may be empty
   */
  public ContactSheet add(Raster picture, String caption, String detail) {
    cells.add(new Cell(onWhite(picture), caption.strip(), detail.strip()));
    return this;
  }

  /** The sheet as a PNG file. */
  public byte[] toPng() {
    return PngCodec.encode(render());
  }

  /**
   * The sheet as a picture of three channels; without title and captions on a machine that has no
   * font, as small containers have none.
   *
   * @throws ImageException if it has no pictures
   */
  public Raster render() {
    if (cells.isEmpty()) {
      throw new ImageException("A contact sheet needs at least one image");
    }
    Layout layout = new Layout(fontMetrics());
    BufferedImage sheet =
        new BufferedImage(layout.width, layout.height, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = graphics(sheet);
    layout.draw(graphics);
    graphics.dispose();
    return toRaster(sheet);
  }

  /** Sizes of the three kinds of text; empty when this machine has no font. */
  private static Optional<Text> fontMetrics() {
    Graphics2D measure = graphics(new BufferedImage(1, 1, BufferedImage.TYPE_INT_RGB));
    try {
      return Optional.of(
          new Text(
              lettering(measure, Font.BOLD, 20),
              lettering(measure, Font.PLAIN, 13),
              lettering(measure, Font.PLAIN, 11)));
    } catch (InternalError | NoClassDefFoundError | UnsatisfiedLinkError | RuntimeException e) {
      // How Java reports a machine without any font differs from version to version.
      return Optional.empty();
    } finally {
      measure.dispose();
    }
  }

  private static Lettering lettering(Graphics2D measure, int style, int size) {
    return new Lettering(measure.getFontMetrics(new Font(Font.SANS_SERIF, style, size)));
  }

  private record Text(Lettering title, Lettering caption, Lettering detail) {}

  private static Graphics2D graphics(BufferedImage image) {
    Graphics2D graphics = image.createGraphics();
    graphics.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
    graphics.setRenderingHint(
        RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
    graphics.setRenderingHint(
        RenderingHints.KEY_FRACTIONALMETRICS, RenderingHints.VALUE_FRACTIONALMETRICS_ON);
    graphics.setRenderingHint(RenderingHints.KEY_STROKE_CONTROL, RenderingHints.VALUE_STROKE_PURE);
    return graphics;
  }

  /** Where everything goes. Rows are as high as their longest caption. */
  private final class Layout {
    private final Optional<Text> text;
    private final List<List<String>> captions = new ArrayList<>();
    private final List<List<String>> details = new ArrayList<>();
    private final int[] rowTop;
    private final int width;
    private final int height;

    Layout(Optional<Text> text) {
      this.text = text;
      text.ifPresent(
          sizes ->
              cells.forEach(
                  cell -> {
                    captions.add(
                        wrap(cell.caption, sizes.caption(), pictureSize, MAX_CAPTION_LINES));
                    details.add(wrap(cell.detail, sizes.detail(), pictureSize, MAX_DETAIL_LINES));
                  }));
      int rows = (cells.size() + columns - 1) / columns;
      int columnsUsed = Math.min(columns, cells.size());
      rowTop = new int[rows];
      int titleHeight = text.map(sizes -> sizes.title().height() + TITLE_GAP).orElse(0);
      int top = MARGIN + (title.isEmpty() ? 0 : titleHeight);
      for (int row = 0; row < rows; row++) {
        rowTop[row] = top;
        top += pictureSize + textHeight(row) + GAP;
      }
      height = top - GAP + MARGIN;
      width = 2 * MARGIN + columnsUsed * (pictureSize + GAP) - GAP;
    }

    private int textHeight(int row) {
      return text.map(sizes -> textHeight(row, sizes)).orElse(0);
    }

    private int textHeight(int row, Text sizes) {
      int highest = 0;
      for (int i = row * columns; i < Math.min(cells.size(), (row + 1) * columns); i++) {
        int lines = captions.get(i).size() * sizes.caption().height();
        int below = details.get(i).size() * sizes.detail().height();
        int detail = below == 0 ? 0 : DETAIL_GAP + below;
        highest = Math.max(highest, lines + detail);
      }
      return highest == 0 ? 0 : CAPTION_GAP + highest;
    }

    void draw(Graphics2D graphics) {
      graphics.setColor(PAPER);
      graphics.fillRect(0, 0, width, height);
      if (!title.isEmpty() && text.isPresent()) {
        Lettering letters = text.get().title();
        graphics.setColor(INK);
        letters.draw(
            graphics,
            ellipsize(letters.drawable(title), letters, width - 2 * MARGIN),
            MARGIN,
            MARGIN + letters.ascent());
      }
      for (int i = 0; i < cells.size(); i++) {
        int left = MARGIN + i % columns * (pictureSize + GAP);
        int top = rowTop[i / columns];
        drawPicture(graphics, cells.get(i).picture, left, top);
        if (text.isPresent()) {
          int textTop = top + pictureSize + CAPTION_GAP;
          drawText(graphics, text.get(), captions.get(i), details.get(i), left, textTop);
        }
      }
    }

    private void drawPicture(Graphics2D graphics, BufferedImage picture, int left, int top) {
      BufferedImage fitted = fit(picture, pictureSize);
      var frame = new RoundRectangle2D.Float(left, top, pictureSize, pictureSize, CORNER, CORNER);
      graphics.setColor(PICTURE_GROUND);
      graphics.fill(frame);
      graphics.setClip(frame);
      graphics.drawImage(
          fitted,
          left + (pictureSize - fitted.getWidth()) / 2,
          top + (pictureSize - fitted.getHeight()) / 2,
          null);
      graphics.setClip(null);
      graphics.setColor(HAIRLINE);
      graphics.setStroke(new BasicStroke(1));
      graphics.draw(
          new RoundRectangle2D.Float(
              left + 0.5f, top + 0.5f, pictureSize - 1, pictureSize - 1, CORNER, CORNER));
    }

    private void drawText(
        Graphics2D graphics,
        Text sizes,
        List<String> caption,
        List<String> detail,
        int left,
        int top) {
      graphics.setColor(INK);
      int below = drawLines(graphics, sizes.caption(), caption, left, top);
      graphics.setColor(PALE_INK);
      drawLines(graphics, sizes.detail(), detail, left, below + DETAIL_GAP);
    }

    /** Returns where the next line would begin. */
    private static int drawLines(
        Graphics2D graphics, Lettering letters, List<String> lines, int left, int top) {
      int y = top;
      for (String line : lines) {
        letters.draw(graphics, line, left, y + letters.ascent());
        y += letters.height();
      }
      return y;
    }
  }

  /**
   * The picture as it looks on paper. Java's gray is another color space than its RGB, hence by
   * hand.
   */
  private static BufferedImage onWhite(Raster picture) {
    int channels = picture.channels();
    if (channels > 4) {
      throw new ImageException(
          "%s cannot be shown: 1 to 4 channels are supported".formatted(picture));
    }
    int pixels = picture.height() * picture.width();
    float[] data = picture.data();
    int[] rgb = new int[pixels];
    for (int i = 0; i < pixels; i++) {
      float alpha =
          channels % 2 == 1 ? 1 : Math.max(0, Math.min(1, data[(channels - 1) * pixels + i]));
      for (int c = 0; c < 3; c++) {
        float value = data[(channels <= 2 ? 0 : c) * pixels + i];
        rgb[i] = rgb[i] << 8 | PngCodec.toByte(alpha * value + (1 - alpha), picture) & 0xFF;
      }
    }
    BufferedImage image =
        new BufferedImage(picture.width(), picture.height(), BufferedImage.TYPE_INT_RGB);
    image.setRGB(0, 0, picture.width(), picture.height(), rgb, 0, picture.width());
    return image;
  }

  /** The picture, enlarged by a whole factor or reduced so that it just fits. */
  private static BufferedImage fit(BufferedImage picture, int size) {
    int longest = Math.max(picture.getWidth(), picture.getHeight());
    double factor = longest <= size ? size / longest : (double) size / longest;
    int width = Math.max(1, (int) Math.round(picture.getWidth() * factor));
    int height = Math.max(1, (int) Math.round(picture.getHeight() * factor));
    // Halving first keeps fine detail from aliasing.
    BufferedImage source = picture;
    while (source.getWidth() >= 2 * width && source.getHeight() >= 2 * height && factor < 0.5) {
      source =
          scaled(
              source,
              source.getWidth() / 2,
              source.getHeight() / 2,
              RenderingHints.VALUE_INTERPOLATION_BILINEAR);
    }
    return scaled(
        source,
        width,
        height,
        factor >= 1
            ? RenderingHints.VALUE_INTERPOLATION_NEAREST_NEIGHBOR
            : RenderingHints.VALUE_INTERPOLATION_BILINEAR);
  }

  private static BufferedImage scaled(
      BufferedImage source, int width, int height, Object interpolation) {
    BufferedImage target = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = target.createGraphics();
    graphics.setColor(PAPER);
    graphics.fillRect(0, 0, width, height);
    graphics.setRenderingHint(RenderingHints.KEY_INTERPOLATION, interpolation);
    graphics.drawImage(source, 0, 0, width, height, null);
    graphics.dispose();
    return target;
  }

  /**
   * Breaks a text between words, and within a word that is longer than a line; the last line may
   * end in an ellipsis.
   */
  static List<String> wrap(String text, Lettering letters, int width, int maxLines) {
    List<String> lines = new ArrayList<>();
    String rest = letters.drawable(text.replaceAll("\\s+", " "));
    while (!rest.isEmpty()) {
      if (lines.size() == maxLines - 1) {
        lines.add(ellipsize(rest, letters, width));
        break;
      }
      int fitting = fittingLength(rest, letters, width);
      if (fitting < rest.length()) {
        int space = rest.lastIndexOf(' ', fitting);
        fitting = space > 0 ? space : Math.max(fitting, Character.charCount(rest.codePointAt(0)));
      }
      lines.add(rest.substring(0, fitting).strip());
      rest = rest.substring(fitting).strip();
    }
    return lines;
  }

  static String ellipsize(String text, Lettering letters, int width) {
    if (letters.width(text) <= width) {
      return text;
    }
    int fitting = fittingLength(text, letters, width - letters.width(ELLIPSIS));
    return text.substring(0, fitting).strip() + ELLIPSIS;
  }

  /**
   * How many characters from the start are no wider than {@code width}; a surrogate pair is not
   * cut.
   */
  private static int fittingLength(String text, Lettering letters, int width) {
    int length = 0;
    for (int advance = 0; length < text.length(); ) {
      int c = text.codePointAt(length);
      advance += letters.width(Character.toString(c));
      if (advance > width) {
        break;
      }
      length += Character.charCount(c);
    }
    // Characters' widths are rounded one by one, a line's as a whole.
    while (length > 0 && letters.width(text.substring(0, length)) > width) {
      length = text.offsetByCodePoints(length, -1);
    }
    return length;
  }

  private static Raster toRaster(BufferedImage sheet) {
    int width = sheet.getWidth();
    int height = sheet.getHeight();
    int[] rgb = sheet.getRGB(0, 0, width, height, null, 0, width);
    float[] data = new float[3 * rgb.length];
    for (int c = 0; c < 3; c++) {
      for (int i = 0; i < rgb.length; i++) {
        data[c * rgb.length + i] = (rgb[i] >>> (16 - 8 * c) & 0xFF) / 255f;
      }
    }
    return new Raster(3, height, width, data);
  }
}
