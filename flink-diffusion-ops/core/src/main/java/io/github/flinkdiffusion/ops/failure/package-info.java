/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * What this project throws. Each room has an exception of its own, whose message says what was
 * being done, where, with which value, and what would be accepted; all of them are {@link
 * io.github.flinkdiffusion.ops.failure.FlinkDiffusionException}s.
 *
 * <pre>{@code
 * } catch (FlinkDiffusionException e) {
 *   if (e instanceof ConcernsOneRequest) {
 *     // answer this request with e.getMessage(), and go on
 *   }
 * }</pre>
 */
package io.github.flinkdiffusion.ops.failure;
