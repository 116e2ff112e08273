/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/**
 * A text as a text encoder takes it.
 *
 * @param ids start token, the text's tokens, end token, padding: as many as the model's context
 *     holds. Not to be changed
 * @param truncated whether the text was longer, so that its end was left out
 */
@Internal
public record Tokens(int[] ids, boolean truncated) {

  @Override
  public boolean equals(Object other) {
    return other instanceof Tokens that
        && truncated == that.truncated
        && Arrays.equals(ids, that.ids);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(ids) + Boolean.hashCode(truncated);
  }

  @Override
  public String toString() {
    return "Tokens" + Arrays.toString(ids) + (truncated ? " truncated" : "");
  }
}
