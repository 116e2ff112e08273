/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * What the rooms that read Flink's configuration have in common: an option that there is not, and a
 * value that an option does not take, are refused when the job is built, in one sentence. Values
 * that may be secrets are in no sentence.
 *
 * <pre>{@code
 * OptionValues.unknown(job, "diffusion.kafka.", KafkaOptions.ALL).ifPresent(sentence -> { throw ...; });
 * Duration timeout = OptionValues.read(job, KafkaOptions.TRANSACTION_TIMEOUT, KafkaSettingsException::new).orElse(...);
 * }</pre>
 */
package io.github.flinkdiffusion.connector.options;
