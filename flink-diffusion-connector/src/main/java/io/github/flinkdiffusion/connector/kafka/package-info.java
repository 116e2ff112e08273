/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Events from Kafka and to Kafka, exactly once, with nothing lost on the way. The builders of
 * {@link io.github.flinkdiffusion.connector.kafka.DiffusionSources DiffusionSources} and {@link
 * io.github.flinkdiffusion.connector.kafka.DiffusionSinks DiffusionSinks} make Flink's own {@code
 * KafkaSource} and {@code KafkaSink}: reading only what was committed, writing in transactions that
 * belong to the checkpoint and fail the job when one is lost, and sending bytes that are no event
 * to the failures instead of failing the job. A combination of settings that could lose records
 * silently is refused when the job is built, with a sentence that says what to set.
 *
 * <pre>{@code
 * var source =
 *     DiffusionSources.prompts()
 *         .setBootstrapServers("broker:9092").setTopics("prompts").setGroupId("posters").build(env);
 * var prompts =
 *     Decoded.split(env.fromSource(source, WatermarkStrategy.noWatermarks(), "prompts").uid("prompts"));
 * var images = makePictures(prompts.events());
 * images.sinkTo(
 *     DiffusionSinks.images()
 *         .setBootstrapServers("broker:9092").setTopic("images").setFailuresTopic("failures").setTransactionalIdPrefix("posters").build(env));
 * prompts.failures().sinkTo(
 *     DiffusionSinks.failures()
 *         .setBootstrapServers("broker:9092").setTopic("failures").setTransactionalIdPrefix("posters").build(env));
 * }</pre>
 */
package io.github.flinkdiffusion.connector.kafka;
