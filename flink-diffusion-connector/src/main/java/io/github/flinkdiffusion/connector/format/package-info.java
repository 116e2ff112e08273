/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Events in the formats that other systems write and read: JSON, plain Avro, and both behind the id
 * of a schema in a schema registry. Whatever the format, an event is read by the same rules: a
 * field that the event does not have is refused by its name, a number that does not fit is refused,
 * and bytes of another format are recognized, so that the message says what to set.
 *
 * <pre>{@code
 * PromptEvent prompt = EventJson.of(PromptEvent.class).read("{\"prompt\": \"a fox\"}".getBytes(UTF_8), "prompts-0-17");
 * }</pre>
 */
package io.github.flinkdiffusion.connector.format;
