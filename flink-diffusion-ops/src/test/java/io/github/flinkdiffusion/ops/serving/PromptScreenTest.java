/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PromptScreenTest {
  @TempDir private Path folder;

  private PromptScreen screen(String list) throws Exception {
    Path file = Files.writeString(folder.resolve("list.txt"), list);
    return PromptScreen.of(
        new Configuration().set(DiffusionOptions.SAFETY_BLOCKED_PHRASES_FILE, file.toString()));
  }

  private static Arguments prompt(String text) {
    return Arguments.NONE.with(Parameters.PROMPT, text);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "a Bad Thing",
        "b\u00e2d, th\u00efng",
        "\uff22\uff21\uff24 thing",
        "\ud835\udc1b\ud835\udc1a\ud835\udc1d thing",
        "b\u200ba\u00add  thing!",
        "\u0432\u0430d th\u0456ng",
        "the grossest word",
        "GROSS"
      })
  void aBlockedPhraseIsFoundHoweverItIsWritten(String text) throws Exception {
    PromptScreen screen = screen("# ours\n\nbad thing\ngro\u00df*\n");
    assertThatThrownBy(() -> screen.check(prompt(text)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageStartingWith("prompt holds a phrase that is blocked here (line ")
        .hasMessageContaining("diffusion.safety.blocked-phrases-file");
  }

  @ParameterizedTest
  @ValueSource(strings = {"a bad day, a nice thing", "badly thing", "thing bad", "ogross", ""})
  void otherTextsPass(String text) throws Exception {
    PromptScreen screen = screen("bad thing\ngross*\n");
    assertThatCode(() -> screen.check(prompt(text))).doesNotThrowAnyException();
  }

  @Test
  void theSecondPromptIsLookedAtAndNegativeOnesAreNot() throws Exception {
    PromptScreen screen = screen("blood");
    assertThatThrownBy(() -> screen.check(prompt("a cat").with(Parameters.PROMPT_2, "blood")))
        .hasMessageStartingWith("prompt2 holds a phrase that is blocked here (line 1 ");
    screen.check(prompt("a cat").with(Parameters.NEGATIVE_PROMPT, "blood"));
  }

  @Test
  void wordsOfAllAlphabetsCanBeListed() throws Exception {
    PromptScreen screen = screen("\u043f\u043b\u043e\u0445\u043e\n\u60aa\u3044");
    assertThatThrownBy(() -> screen.check(prompt("\u041f\u041b\u041e\u0425\u041e!")))
        .hasMessageContaining("line 1 ");
    assertThatThrownBy(() -> screen.check(prompt("a\u3068\u3066\u3082\u60aa\u3044\u732b")))
        .hasMessageContaining("line 2 ");
  }

  @Test
  void aListThatIsNoneStopsTheJob() throws Exception {
    assertThatThrownBy(() -> screen("good\n* *\n").requireList())
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("Line 2 of the list of blocked phrases");
    PromptScreen missing =
        PromptScreen.of(
            new Configuration()
                .set(
                    DiffusionOptions.SAFETY_BLOCKED_PHRASES_FILE,
                    folder.resolve("none").toString()));
    assertThatThrownBy(missing::requireList)
        .hasMessageContaining("Cannot read the list of blocked phrases");
    PromptScreen off = PromptScreen.of(new Configuration());
    off.requireList();
    off.check(prompt("anything"));
    assertThat(off).isEqualTo(PromptScreen.of(new Configuration()));
  }
}
