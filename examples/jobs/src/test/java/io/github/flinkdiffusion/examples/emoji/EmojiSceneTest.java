/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.offset;

import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Background;
import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Emoji;
import io.github.flinkdiffusion.examples.training.data.FolderExamples;
import io.github.flinkdiffusion.ops.image.Raster;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.File;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EmojiSceneTest {
  private static final Background ORANGE = new Background("orange", 255, 128, 0);
  private static final Emoji ICE_CREAM = new Emoji("ice cream", "1f366");

  @Test
  void isAskedForInSeveralWaysOfWhichTheFirstSaysAll() {
    assertThat(new EmojiScene(ICE_CREAM, ORANGE, EmojiSize.LARGE).phrasings())
        .containsExactly(
            "a large ice cream on an orange background",
            "a large ice cream on orange",
            "an ice cream on an orange background",
            "an ice cream on orange");
    assertThat(new EmojiScene(ICE_CREAM, ORANGE, EmojiSize.SMALL).prompt())
        .isEqualTo("a small ice cream on an orange background");
    assertThat(new EmojiScene(new Emoji("unicorn", "1f984"), ORANGE, EmojiSize.LARGE).phrasings())
        .contains("a unicorn on orange");
  }

  /** All emoji are a blue disc on nothing. */
  static EmojiImages discs(Path folder) throws IOException {
    BufferedImage disc = new BufferedImage(64, 64, BufferedImage.TYPE_INT_ARGB);
    Graphics2D graphics = disc.createGraphics();
    graphics.setColor(Color.BLUE);
    graphics.fillOval(0, 0, 64, 64);
    graphics.dispose();
    for (Emoji emoji : EmojiVocabulary.emoji()) {
      File file = folder.resolve(emoji.file() + ".png").toFile();
      assertThat(ImageIO.write(disc, "png", file)).isTrue();
    }
    return EmojiImages.open(folder);
  }

  @Test
  void isDrawnInTheMiddleOfItsBackground(@TempDir Path folder) throws IOException {
    EmojiImages images = discs(folder);
    Raster large = new EmojiScene(ICE_CREAM, ORANGE, EmojiSize.LARGE).render(images);
    Raster small = new EmojiScene(ICE_CREAM, ORANGE, EmojiSize.SMALL).render(images);

    assertThat(large.toString()).isEqualTo("Raster[3 x 64 x 64]");
    for (Raster picture : new Raster[] {large, small}) {
      assertPixel(picture, 0, 0, 1, 128 / 255f, 0);
      assertPixel(picture, 63, 63, 1, 128 / 255f, 0);
      assertPixel(picture, 32, 32, 0, 0, 1);
    }
    assertPixel(large, 32, 8, 0, 0, 1);
    assertPixel(small, 32, 8, 1, 128 / 255f, 0);
    assertPixel(small, 32, 20, 0, 0, 1);
  }

  @Test
  void aRimBetweenEmojiAndBackgroundIsAMixtureOfBoth(@TempDir Path folder) throws IOException {
    Raster picture = new EmojiScene(ICE_CREAM, ORANGE, EmojiSize.SMALL).render(discs(folder));
    List<Float> reds = IntStream.range(0, 32).mapToObj(x -> picture.at(0, 22, x)).toList();
    assertThat(reds)
        .allSatisfy(red -> assertThat(red).isBetween(-1e-4f, 1.0001f))
        .anySatisfy(red -> assertThat(red).isBetween(0.1f, 0.9f));
  }

  @Test
  void aFolderWithoutThePicturesIsRefusedWithWhatItShouldBe(@TempDir Path empty) {
    assertThatThrownBy(() -> EmojiImages.open(empty))
        .isInstanceOf(NoSuchFileException.class)
        .hasMessageContaining("img/google/64");
  }

  @Test
  void trainingScenesBecomeAFolderOfCaptions(@TempDir Path folder, @TempDir Path out)
      throws IOException {
    List<EmojiScene> scenes = EmojiVocabulary.trainingScenes().subList(0, 4);
    EmojiSceneFolder.write(discs(folder), scenes, out);
    FolderExamples examples = FolderExamples.captions(out);
    assertThat(examples.size()).isEqualTo(4);
    assertThat(examples.at(3).caption()).isEqualTo(scenes.get(3).prompt());
    assertThat(examples.at(3).image().width()).isEqualTo(64);
  }

  private static void assertPixel(
      Raster picture, int x, int y, float red, float green, float blue) {
    assertThat(new float[] {picture.at(0, y, x), picture.at(1, y, x), picture.at(2, y, x)})
        .containsExactly(new float[] {red, green, blue}, offset(0.01f));
  }
}
