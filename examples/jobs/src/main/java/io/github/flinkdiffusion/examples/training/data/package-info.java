/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Layouts of training data: folders of classes, captions or pairs, IDX arrays, COCO, WebDataset,
 * LMDB. Each is a list of {@link io.github.flinkdiffusion.examples.training.data.Example}s that are
 * read when they are asked for, by the product's own image readers.
 *
 * <p>These are internals of the examples, not public API: they may change in any version.
 */
package io.github.flinkdiffusion.examples.training.data;
