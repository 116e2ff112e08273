/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import org.apache.flink.annotation.Experimental;
import org.jspecify.annotations.NullMarked;

/**
 * Whether an image has the mark that a key reads; {@link WatermarkDetection} emits one for each.
 *
 * @param id of the request
 * @param digest SHA-256 of the image's bytes, lower-case hex, as its event has it
 * @param found whether there is a mark
 * @param payload 12 hexadecimal digits, as {@code watermark.payload} of the audit record; empty
 *     without a mark
 * @param score how clear it is; 0 without a mark
 * @param scale of the image since it was marked; 0 without a mark
 */
@NullMarked
@Experimental
public record WatermarkReading(
    String id, String digest, boolean found, String payload, double score, double scale) {}
