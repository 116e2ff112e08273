/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Events as rows of Flink's SQL: the formats {@code diffusion-avro}, {@code diffusion-json}, {@code
 * diffusion-registry-avro} and {@code diffusion-registry-json}, for Flink's own Kafka connector. A
 * column is a field of the event in snake case; what is read may be any of them, what is written
 * must have those without a default. Bytes are read and written by {@link
 * io.github.flinkdiffusion.connector.event.EventCodec EventCodec}, so SQL and DataStream jobs share
 * topics, old schemas included.
 *
 * <pre>{@code
 * CREATE TABLE prompts (id STRING NOT NULL, prompt STRING NOT NULL, seed BIGINT)
 *   WITH ('connector' = 'kafka', 'topic' = 'prompts', 'properties.bootstrap.servers' = 'broker:9092',
 *         'scan.startup.mode' = 'earliest-offset',
 *         'format' = 'diffusion-avro', 'diffusion-avro.event' = 'prompt');
 * }</pre>
 */
package io.github.flinkdiffusion.connector.table;
