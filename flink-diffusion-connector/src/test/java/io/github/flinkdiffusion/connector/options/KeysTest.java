/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.options;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class KeysTest {
  private static final Set<String> KNOWN = Set.of("steps", "seed", "guidance-scale", "batch.rows");

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "steps | ''",
        "stepps | 'stepps' (did you mean 'steps'?)",
        "step | 'step' (did you mean 'steps'?)",
        "guidence_scale | 'guidence_scale' (did you mean 'guidance-scale'?)",
        "batch-rows | 'batch-rows' (did you mean 'batch.rows'?)",
        "diffusion.batch.rows | 'diffusion.batch.rows' (did you mean 'batch.rows'?)",
        "temperature | 'temperature'",
        "x | 'x'"
      },
      quoteCharacter = '"')
  void whatIsNotKnownIsNamedWithWhatWasMeant(String written, String expected) {
    String sentence = expected.equals("''") ? "" : expected;
    assertThat(Keys.unknown(Set.of(written), KNOWN)).isEqualTo(sentence);
  }
}
