/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * What travels through Kafka: a request for a picture, the picture, a failure, progress. Images
 * travel within an event or, when they are large, in a file that the event names ({@link
 * io.github.flinkdiffusion.connector.event.Payload Payload}). Each event is an Avro record,
 * generated from {@code src/main/avro}, and {@link
 * io.github.flinkdiffusion.connector.event.EventCodec EventCodec} turns it into bytes that name
 * their own schema (Avro's single-object encoding), so that any Avro library in any language can
 * write and read them without a schema registry. Every schema that was ever released is kept as a
 * resource, hence the events of an older sender stay readable.
 *
 * <pre>{@code
 * PromptEvent prompt =
 *     PromptEvent.newBuilder().setId("order-17").setPrompt("a lighthouse at dusk").build();
 * byte[] value = EventCodec.prompts().encode(prompt);
 * PromptEvent again = EventCodec.prompts().decode(value);
 * }</pre>
 */
package io.github.flinkdiffusion.connector.event;
