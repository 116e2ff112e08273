/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * The workings of the Kafka builders: how records become events, how {@code Decoded} travels
 * between tasks, what a broker allows. Nothing here is meant to be used from outside, and it
 * changes without notice; classes are public only where Flink has to create them.
 *
 * <pre>{@code
 * TypeInformation<Decoded<PromptEvent>> type = DecodedTypeInfo.forEvent(PromptEvent.class);
 * }</pre>
 */
package io.github.flinkdiffusion.connector.kafka.internal;
