/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.awt.Font;
import java.awt.image.BufferedImage;
import java.util.List;
import org.junit.jupiter.api.Test;

class ContactSheetTest {
  private static final Lettering LETTERS =
      new Lettering(
          new BufferedImage(1, 1, BufferedImage.TYPE_INT_RGB)
              .createGraphics()
              .getFontMetrics(new Font(Font.SANS_SERIF, Font.PLAIN, 13)));

  private static Raster colored(int size, float red, float green, float blue) {
    Raster picture = Raster.filled(3, size, size, 0);
    for (int i = 0; i < size * size; i++) {
      picture.data()[i] = red;
      picture.data()[size * size + i] = green;
      picture.data()[2 * size * size + i] = blue;
    }
    return picture;
  }

  private static float[] pixel(Raster sheet, int x, int y) {
    return new float[] {sheet.at(0, y, x), sheet.at(1, y, x), sheet.at(2, y, x)};
  }

  @Test
  void showsEachPictureInItsOwnColorsAndOrder() {
    Raster sheet =
        ContactSheet.columns(2)
            .pictureSize(64)
            .add(colored(32, 1, 0, 0), "")
            .add(Raster.filled(1, 64, 64, 100 / 255f), "")
            .add(Raster.filled(4, 128, 128, 0), "")
            .render();
    // Margin 28, gap 20, no captions.
    assertThat(sheet.width()).isEqualTo(28 + 64 + 20 + 64 + 28);
    assertThat(sheet.height()).isEqualTo(28 + 64 + 20 + 64 + 28);
    assertThat(pixel(sheet, 60, 60)).containsExactly(1, 0, 0);
    assertThat(pixel(sheet, 144, 60))
        .as("gray")
        .containsExactly(100 / 255f, 100 / 255f, 100 / 255f);
    assertThat(pixel(sheet, 60, 144)).as("transparent on white").containsExactly(1, 1, 1);
    assertThat(pixel(sheet, 5, 5)).as("paper").containsExactly(1, 1, 1);
  }

  @Test
  void keepsProportionsAndSharpPixels() {
    // Left half red, right half blue, twice as wide as high: enlarged 4 times to 64 x 32.
    float[] data = new float[3 * 8 * 16];
    for (int y = 0; y < 8; y++) {
      for (int x = 0; x < 16; x++) {
        data[(x < 8 ? 0 : 2) * 128 + y * 16 + x] = 1;
      }
    }
    Raster sheet =
        ContactSheet.columns(1).pictureSize(64).add(new Raster(3, 8, 16, data), "").render();
    assertThat(pixel(sheet, 28 + 31, 60)).containsExactly(1, 0, 0);
    assertThat(pixel(sheet, 28 + 32, 60)).containsExactly(0, 0, 1);
    assertThat(pixel(sheet, 28 + 32, 28 + 5))
        .as("beside the picture")
        .isNotEqualTo(new float[] {0, 0, 1});
  }

  @Test
  void givesCaptionsTheRoomTheyNeedAndNoMore() {
    Raster red = colored(16, 1, 0, 0);
    int without = ContactSheet.columns(1).add(red, "").render().height();
    int oneLine = ContactSheet.columns(1).add(red, "a red apple").render().height();
    int threeLines = ContactSheet.columns(1).add(red, "word ".repeat(50)).render().height();
    int evenLonger = ContactSheet.columns(1).add(red, "word ".repeat(5000)).render().height();
    int withDetail = ContactSheet.columns(1).add(red, "a red apple", "seed 7").render().height();
    int withTitle =
        ContactSheet.columns(1).title("Fruit").add(red, "a red apple").render().height();
    assertThat(oneLine).isGreaterThan(without);
    assertThat(threeLines).isGreaterThan(oneLine).isEqualTo(evenLonger);
    assertThat(withDetail).isGreaterThan(oneLine);
    assertThat(withTitle).isGreaterThan(oneLine);
  }

  @Test
  void wrapsBetweenWordsAndInsideLongOnes() {
    assertThat(ContactSheet.wrap("a  red\napple", LETTERS, 1000, 3)).containsExactly("a red apple");
    assertThat(ContactSheet.wrap("", LETTERS, 100, 3)).isEmpty();
    int width = LETTERS.width("a photo of an");
    assertThat(ContactSheet.wrap("a photo of an astronaut", LETTERS, width, 3))
        .containsExactly("a photo of an", "astronaut");
    List<String> lines = ContactSheet.wrap("x".repeat(500), LETTERS, width, 3);
    assertThat(lines).hasSize(3);
    assertThat(lines.get(2)).endsWith("\u2026");
    assertThat(lines).allMatch(line -> LETTERS.width(line) <= width);
    assertThat(ContactSheet.wrap("abc", LETTERS, 1, 9)).containsExactly("a", "b", "c");
    String faces = "\uD83D\uDE00\uD83D\uDE00";
    assertThat(ContactSheet.wrap(faces, LETTERS, 1, 99))
        .as("a surrogate pair is not cut")
        .containsExactlyElementsOf(
            LETTERS.drawable(faces).codePoints().mapToObj(Character::toString).toList());
  }

  @Test
  void writesTheCodePointOfACharacterThatNoFontHas() {
    assertThat(LETTERS.drawable("a \uDBFF\uDFFD!")).isEqualTo("a U+10FFFD!");
    assertThat(LETTERS.drawable("n\u00ef")).isEqualTo("n\u00ef");
    assertThat(LETTERS.drawable("\u2764\uFE0F")).as("selects a look").doesNotContain("\uFE0F");
    assertThat(ContactSheet.wrap("cats \uDBFF\uDFFD", LETTERS, 1000, 3))
        .containsExactly("cats U+10FFFD");
  }

  @Test
  void drawsEachCharacterWithAFontThatHasIt() {
    // On a machine with such a font, the second one of these is drawn; else its code point is.
    String mixed = LETTERS.drawable("a \u6F22 b");
    assertThat(mixed).isIn("a \u6F22 b", "a U+6F22 b");
    BufferedImage sheet = new BufferedImage(200, 40, BufferedImage.TYPE_INT_RGB);
    LETTERS.draw(sheet.createGraphics(), mixed, 0, 20);
    int width = LETTERS.width(mixed);
    assertThat(width).isGreaterThan(LETTERS.width("a  b"));
    assertThat(columnsWithInk(sheet, LETTERS.width("a "), width - LETTERS.width(" b")))
        .isGreaterThan(2);
    assertThat(columnsWithInk(sheet, width + 1, 200)).isZero();
  }

  private static int columnsWithInk(BufferedImage image, int from, int to) {
    int columns = 0;
    for (int x = from; x < to; x++) {
      for (int y = 0; y < image.getHeight(); y++) {
        if ((image.getRGB(x, y) & 0xFFFFFF) != 0) {
          columns++;
          break;
        }
      }
    }
    return columns;
  }

  @Test
  void ellipsizesOnlyWhatIsTooLong() {
    assertThat(ContactSheet.ellipsize("short", LETTERS, 1000)).isEqualTo("short");
    String cut = ContactSheet.ellipsize("a rather long caption", LETTERS, 80);
    assertThat(cut).startsWith("a ra").endsWith("\u2026");
    assertThat(LETTERS.width(cut)).isLessThanOrEqualTo(80);
  }

  @Test
  void isAPngFileThatReadsBack() {
    ContactSheet sheet = ContactSheet.columns(3).title("t").add(colored(8, 0, 1, 0), "green");
    assertThat(PngCodec.decode(sheet.toPng())).isEqualTo(sheet.render());
  }

  @Test
  void refusesWhatItCanNotShow() {
    assertThatThrownBy(() -> ContactSheet.columns(0)).isInstanceOf(ImageException.class);
    assertThatThrownBy(() -> ContactSheet.columns(1).pictureSize(3))
        .isInstanceOf(ImageException.class);
    assertThatThrownBy(() -> ContactSheet.columns(1).render())
        .hasMessageContaining("at least one image");
    assertThatThrownBy(() -> ContactSheet.columns(1).add(Raster.filled(13, 2, 2, 0), ""))
        .hasMessageContaining("1 to 4 channels");
  }
}
