/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Image bytes beside Kafka (the claim check pattern). Small images travel in their event; a larger
 * one is written to a store first, under the SHA-256 of its bytes, and the event names it: so a
 * request that is replayed after a failure writes nothing a second time, and nobody ever sees a
 * reference to something that is not there. The store is a folder of any file system that Flink
 * knows (local, S3-compatible, HDFS), and references are read only below prefixes that the job was
 * allowed.
 *
 * <pre>{@code
 * PayloadStore store = new PayloadStore(PayloadSettings.of(jobConfiguration)); // once a task
 * Payload image = store.write(png, "image/png");   // blocks: on a pool, never on the task's thread
 * byte[] again = store.read(image);                // length and digest verified
 * }</pre>
 */
package io.github.flinkdiffusion.connector.payload;
