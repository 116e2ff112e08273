/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Diffusion models in Flink SQL: a model provider for {@code ML_PREDICT} and a module of functions.
 *
 * <p>Columns are matched by name: an input column is a parameter of the model's pipeline in snake
 * case ({@code prompt}, {@code negative_prompt}, {@code image} ...), an output column is one of
 * {@link io.github.flinkdiffusion.ops.table.OutputColumn}. All uses in a process share the loaded
 * model and its network calls with each other and with DataStream operators.
 *
 * <pre>{@code
 * CREATE MODEL painter
 *   INPUT (id STRING, prompt STRING)
 *   OUTPUT (image BYTES, width INT, height INT, seed BIGINT, `error-string` STRING)
 *   WITH ('provider' = 'diffusion', 'model.folder' = '/models/sd15', 'steps' = '25');
 * SELECT id, image FROM ML_PREDICT(TABLE prompts, MODEL painter, DESCRIPTOR(id, prompt));
 * }</pre>
 */
package io.github.flinkdiffusion.ops.table;
