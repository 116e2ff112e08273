/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.nio.file.Path;
import org.apache.flink.annotation.Internal;

/**
 * Where a tensor's elements lie in a file, little-endian, in C order and without gaps, so that an
 * engine can map them instead of copying them. The file stays as it is as long as anything maps it:
 * who replaces a model does so by renaming files, never by writing into them.
 *
 * @param file its absolute path
 * @param offset of the first element, in bytes from the file's beginning
 * @param dtype as the elements are stored
 */
@Internal
public record TensorPlace(Path file, long offset, DType dtype) {}
