/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Finds what would stop a job before the job does: Java, the engines' libraries, the device,
 * memory, disk, ports, Kafka and its limits, topics, the schema registry, the model, checkpoint
 * storage and the clock.
 *
 * <p>{@link io.github.flinkdiffusion.ops.doctor.Doctor} examines the machine that it runs on;
 * {@link io.github.flinkdiffusion.ops.doctor.ClusterDoctor} does so on the TaskManagers of a
 * running cluster. A check reads, and writes one small file into each folder that the job would
 * write to; it deletes that file, and changes nothing else. Each finding says what to do.
 *
 * <pre>{@code
 * java -cp "$FLINK_HOME/lib/*" io.github.flinkdiffusion.ops.doctor.Doctor --conf $FLINK_HOME/conf \
 *     -Ddiffusion.model.folder=/models/sd-1.5 --topics posters-prompts,posters-images
 * }</pre>
 */
package io.github.flinkdiffusion.ops.doctor;
