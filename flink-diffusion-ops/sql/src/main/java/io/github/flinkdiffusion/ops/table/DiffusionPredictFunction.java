/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import java.util.Collection;
import java.util.concurrent.ExecutionException;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.PredictFunction;

/** A diffusion model in {@code ML_PREDICT}, one row at a time. Public for generated code. */
@Internal
public final class DiffusionPredictFunction extends PredictFunction {
  private static final long serialVersionUID = 1L;

  private final Prediction prediction;

  DiffusionPredictFunction(Prediction prediction) {
    this.prediction = prediction;
  }

  @Override
  public void open(FunctionContext context) throws Exception {
    prediction.open(context);
  }

  @Override
  public Collection<RowData> predict(RowData row) {
    try {
      return prediction.predict(row).get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("Interrupted while an image was generated.", e);
    } catch (ExecutionException e) {
      throw e.getCause() instanceof RuntimeException unchecked
          ? unchecked
          : new IllegalStateException(e.getCause());
    }
  }

  @Override
  public void close() {
    prediction.close();
  }
}
