/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import java.util.Collection;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.AsyncPredictFunction;
import org.apache.flink.table.functions.FunctionContext;

/** A diffusion model in {@code ML_PREDICT}: rows share network calls. Public for generated code. */
@Internal
public final class AsyncDiffusionPredictFunction extends AsyncPredictFunction {
  private static final long serialVersionUID = 1L;

  private final Prediction prediction;

  AsyncDiffusionPredictFunction(Prediction prediction) {
    this.prediction = prediction;
  }

  @Override
  public void open(FunctionContext context) throws Exception {
    prediction.open(context);
  }

  @Override
  public CompletableFuture<Collection<RowData>> asyncPredict(RowData row) {
    return prediction.predict(row);
  }

  @Override
  public void close() {
    prediction.close();
  }
}
