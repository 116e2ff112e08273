/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.examples.training.data.Example;
import io.github.flinkdiffusion.examples.training.data.FolderExamples;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class MiniEmojiShapesTest {
  private static final int GREEN = 1;
  private static final int BLUE = 2;

  @TempDir private Path folder;

  private Path shapes() throws IOException {
    EmojiSceneTest.discs(folder);
    Path out = folder.resolve("out");
    int status =
        new CommandLine(new MiniEmojiShapes())
            .execute("--images", folder.toString(), "--out", out + "", "--count", "1");
    assertThat(status).isZero();
    return out;
  }

  @Test
  void aShapeIsWhiteWhereTheEmojiIs() throws IOException {
    Path out = shapes();
    FolderExamples pairs = FolderExamples.pairs(out.resolve("images"), out.resolve("shapes"));
    assertThat(pairs.size()).isEqualTo(480);
    for (int i = 0; i < pairs.size(); i += 60) {
      Example example = pairs.at(i);
      assertThat(example.caption()).matches("a (large|small) .* on an? .* background");
      Raster shape = example.other().orElseThrow();
      int inside = 0;
      for (int y = 0; y < 64; y++) {
        for (int x = 0; x < 64; x++) {
          if (shape.at(0, y, x) == 1) {
            inside++;
            assertThat(example.image().at(BLUE, y, x)).isEqualTo(1);
            assertThat(example.image().at(GREEN, y, x)).isZero();
          } else if (shape.at(0, y, x) == 0) {
            assertThat(example.image().at(GREEN, y, x)).isPositive();
          }
        }
      }
      assertThat(inside).isGreaterThan(500);
    }
  }
}
