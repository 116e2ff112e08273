/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * A real Kafka broker inside this JVM, so that examples and tests need neither a download nor a
 * container. It is Kafka's own broker and controller (KRaft), hence transactions, isolation levels
 * and limits are the real ones. Each instance owns its ports and a temporary folder, and leaves
 * nothing behind.
 *
 * <p>Beside it, {@link io.github.flinkdiffusion.embedded.LocalHub} serves folders as Hugging Face's
 * hub does. That one is a stand-in, written for tests and demos.
 *
 * <pre>{@code
 * try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
 *   kafka.createTopics(2, "prompts", "images");
 *   runMyJob(kafka.bootstrapServers());
 *   var images = kafka.readCommitted("images", 10, Duration.ofSeconds(60));
 * }
 * }</pre>
 *
 * <p>These are internals of the examples, not public API: they may change in any version.
 */
package io.github.flinkdiffusion.embedded;
