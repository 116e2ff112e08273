/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.ops.failure.ConcernsOneRequest;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.serving.GenerationService;
import java.util.function.Supplier;
import org.apache.flink.table.functions.ScalarFunction;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A function of images that needs no model. What it cannot do (a damaged file, pictures of unequal
 * sizes) is NULL and a line in the log, or fails the job, as the module's {@code on-error} says.
 */
abstract class PlainFunction extends ScalarFunction {
  private static final long serialVersionUID = 1L;
  private static final Logger LOG = LoggerFactory.getLogger(PlainFunction.class);

  private final String name;
  private final boolean failing;

  /**
   * @param name as in SQL
   * @param failing whether a call that cannot be done fails the job
   */
  PlainFunction(String name, boolean failing) {
    this.name = name;
    this.failing = failing;
  }

  /** The value, or NULL where it cannot be had. */
  final <T> T valueOrNull(Supplier<T> value) {
    try {
      return value.get();
    } catch (RuntimeException e) {
      if (failing || !(e instanceof ConcernsOneRequest || e instanceof PayloadException)) {
        throw OnError.failingTheJob(e);
      }
      LOG.warn("{} returns NULL: {}", name, e.getMessage());
      return null;
    }
  }

  static Raster read(byte[] file) {
    return GenerationService.read(file);
  }
}
