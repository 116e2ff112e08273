/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Who shares the next network call.
 *
 * <p>A {@link io.github.flinkdiffusion.ops.batching.StepBatcher} owns one pipeline on one device
 * and decides anew before every call: waiting requests join at the next step, finished ones leave
 * at once, and requests with different schedulers, step counts and guidance share the call in
 * between. It is a loop over small strategies ({@code Ranking}, {@code Admission}, {@code
 * FairTurns}, {@code CallLimits}) that knows neither Flink nor the tensor library; {@link
 * io.github.flinkdiffusion.ops.batching.SharedBatchers} gives each device of a process one of them,
 * run by one {@link io.github.flinkdiffusion.ops.batching.DeviceThread}.
 *
 * <pre>{@code
 * try (SharedBatchers.Lease lease = SharedBatchers.ofProcess().acquire(key, settings, opener)) {
 *   BatchSession session = lease.batcher().join(sessionListener);
 *   Ticket ticket = session.submit(new Work.Fresh(request), Submission.DEFAULT, requestListener);
 *   Work saved = ticket.rest(); // at any time; what submit takes again after a failure
 * }
 * }</pre>
 */
package io.github.flinkdiffusion.ops.batching;
