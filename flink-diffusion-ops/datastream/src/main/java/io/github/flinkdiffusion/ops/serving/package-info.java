/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * A loaded model as a service of the process: options, the settings read from them, which device a
 * subtask gets, and what all users of a process share. The operators and the SQL functions stand
 * side by side below this room and know nothing of each other.
 *
 * <p>Nothing here is state: no class of this room is named in a savepoint.
 *
 * <pre>{@code
 * GenerationService.Settings settings = GenerationService.Settings.of(config);
 * try (GenerationService service =
 *     GenerationService.open(settings, context::getExternalResourceInfos, subtask, "my-function")) {
 *   service.generate(spec).thenAcceptAsync(image -> ..., service.workers());
 * }
 * }</pre>
 */
package io.github.flinkdiffusion.ops.serving;
