/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * libtorch as an engine: the only room that knows DJL. Archives are written, loaded onto a device,
 * called, trained and freed here; no other room imports it, it is found as a service.
 *
 * <p>What crosses the border to the heap is copied once each way per call, and every native tensor
 * lives in a scope that closes with the call, but for those that the caller keeps ({@link
 * io.github.flinkdiffusion.ops.engine.DeviceTensor}).
 */
package io.github.flinkdiffusion.ops.torch;
