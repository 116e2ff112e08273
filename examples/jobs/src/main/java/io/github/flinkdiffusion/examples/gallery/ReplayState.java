/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

/**
 * How the replay of a result stands.
 *
 * @param state {@code waiting}, {@code running}, {@code done} or {@code failed}
 * @param verdict IDENTICAL and the like when it is done, else empty
 * @param text for a person
 */
record ReplayState(String place, String state, String verdict, String text) {}
