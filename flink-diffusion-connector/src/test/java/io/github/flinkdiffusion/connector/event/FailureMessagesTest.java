/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.event;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class FailureMessagesTest {
  private static final ImageTaskEvent REQUEST =
      ImageTaskEvent.newBuilder()
          .setId("scene-17")
          .setImage(
              Payloads.stored(
                  new PayloadReference("file:///data/in/ok.png/x", "1f82".repeat(16), 7L), ""))
          .setAttributes(Map.of("from", "s3://tiles/a b/7.tif"))
          .build();

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          Cannot read /tmp/scratch-12/in.tif: EOF.            | Cannot read (a path on the server): EOF.
          Cannot write '/var/My Models/unet/config.json'.     | Cannot write '(a path on the server)'.
          java.nio.file.NoSuchFileException: /srv/m           | java.nio.file.NoSuchFileException: (a path on the server)
          See file:/srv/m, s3://ours/key and hdfs:///xyz.       | See (a path on the server), (a path on the server) and (a path on the server).
          Bad (/srv/net.bin) at C:\\Users\\x               | Bad ((a path on the server)) at (a path on the server)
          key=/srv/m                                          | key=(a path on the server)
          """)
  void hidesPathsThatTheSenderDidNotSend(String message, String safe) {
    assertThat(FailureMessages.safe(message, REQUEST)).isEqualTo(safe);
    assertThat(FailureMessages.safe(message, null)).isEqualTo(safe);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "The request's image: file:///data/in/ok.png/x cannot be read.",
        "/data/in/ok.png is not a folder.",
        "The attribute 's3://tiles/a b/7.tif' is no number.",
        "Media type image/png, model owner/model, 3/4 of it, 5 / 7, e.g. and/or.",
      })
  void keepsThePathsOfTheRequestAndWhatIsNoPath(String message) {
    assertThat(FailureMessages.safe(message, REQUEST)).isEqualTo(message);
  }

  @Test
  void aMessageIsOneLineOfAThousandCharactersAtMost() {
    String trace = "Traceback:\n\tat /usr/lib/a.so\n".repeat(1_000_000);
    String safe = FailureMessages.safe(trace, null);
    assertThat(safe)
        .hasSize(FailureMessages.MAX_CHARS)
        .startsWith("Traceback: at (a path on the server) Traceback:")
        .endsWith("…")
        .doesNotContain("\n", "/usr");
    assertThat(FailureMessages.safe("灯".repeat(999) + "😀", null)).isEqualTo("灯".repeat(999) + "…");
  }

  @Test
  void aLongPathOfTheRequestDoesNotPushOutWhatIsWrongWithIt() {
    String path = "/data/in/" + "d/".repeat(900) + "x.png";
    PromptEvent request = PromptEvent.newBuilder().setId("a").setPrompt(path).build();
    assertThat(FailureMessages.safe("Cannot read " + path + ": Not a directory.", request))
        .startsWith("Cannot read /data/in/d/d/")
        .endsWith("…: Not a directory.")
        .hasSizeLessThan(FailureMessages.MAX_CHARS);
  }

  @Test
  void anErrorWithoutAMessageHasOneToo() {
    assertThat(FailureMessages.safe(null, null)).contains("no message");
    assertThat(FailureMessages.safe(" ", null)).contains("no message");
  }
}
