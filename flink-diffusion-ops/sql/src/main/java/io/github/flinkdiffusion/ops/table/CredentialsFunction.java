/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.credentials.CredentialsVerifier;
import io.github.flinkdiffusion.ops.credentials.Verdict;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.types.Row;

/** {@code IMAGE_CREDENTIALS(image)}: what a file's content credentials say, and are worth. */
@Internal
@FunctionHint(
    output =
        @DataTypeHint(
            "ROW<state STRING, signer STRING, generator STRING, source_types ARRAY<STRING>, ingredients ARRAY<STRING>, problems ARRAY<STRING>, audit STRING>"))
public final class CredentialsFunction extends PlainFunction {
  private static final long serialVersionUID = 1L;

  CredentialsFunction(boolean failing) {
    super("IMAGE_CREDENTIALS", failing);
  }

  public Row eval(byte[] image) {
    return image == null ? null : valueOrNull(() -> credentials(image));
  }

  private static Row credentials(byte[] image) {
    Verdict verdict = new CredentialsVerifier().verify(image);
    return Row.of(
        verdict.state().name(),
        verdict.signer().orElse(null),
        verdict.generator().orElse(null),
        verdict.sourceTypes().toArray(String[]::new),
        verdict.ingredients().stream().map(Verdict.Ingredient::title).toArray(String[]::new),
        verdict.failures().stream().map(Verdict.Status::code).distinct().toArray(String[]::new),
        verdict.audit().orElse(null));
  }
}
