/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Everything that tests put in a model's, a device's or an engine's place. {@link
 * io.github.flinkdiffusion.ops.fakes.FakePipeline} stands in for text to image, {@link
 * io.github.flinkdiffusion.ops.fakes.FakeUpscaler} for tasks on images, {@link
 * io.github.flinkdiffusion.ops.fakes.ToyEngine} for what runs networks; the others open these, hold
 * them up, or move their time.
 */
package io.github.flinkdiffusion.ops.fakes;
