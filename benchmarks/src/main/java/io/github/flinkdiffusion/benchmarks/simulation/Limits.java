/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** What a job of very many devices meets first: plain arithmetic over assumptions. */
public final class Limits {
  private static final double MEBIBYTE = 1 << 20;

  private Limits() {}

  /**
   * What the arithmetic starts from.
   *
   * @param picturesPerDevice a second
   * @param pictureBytes of an encoded one
   * @param trajectoryBytes in a checkpoint: sample, history and generator
   * @param capacity requests in flight at a subtask
   * @param checkpointSeconds from one to the next
   * @param storageBytes a second that checkpoints' storage takes
   * @param partitionBytes a second that one partition takes
   * @param brokers of the cluster
   * @param brokerBytes a second that one takes in
   * @param replicas of a record
   * @param commits of transactions a second, in all of the cluster
   * @param transactionsPerDevice and checkpoint: of pictures and of failures
   */
  public record Assumptions(
      double picturesPerDevice,
      double pictureBytes,
      double trajectoryBytes,
      int capacity,
      double checkpointSeconds,
      double storageBytes,
      double partitionBytes,
      int brokers,
      double brokerBytes,
      int replicas,
      double commits,
      int transactionsPerDevice) {

    /**
     * Stable Diffusion 1.5 at 512 pixels on a fast GPU: a latent of 64 KiB and a history of two of
     * them; brokers with 10 Gbit/s; an object store.
     */
    public static final Assumptions TYPICAL =
        new Assumptions(
            2,
            450_000,
            3 * 65_536 + 2_600,
            64,
            10,
            1000 * MEBIBYTE,
            20 * MEBIBYTE,
            3,
            1_000_000_000,
            3,
            1000,
            2);

    /** For a reader. */
    public String inWords() {
      return ("a device makes %.0f pictures/s of %.0f KB; a saved trajectory has %.0f KiB and a subtask holds %d;"
              + " a checkpoint every %.0f s into a store that takes %.0f MiB/s; a partition takes %.0f MiB/s; %d brokers"
              + " take %.0f MB/s each and a record has %d replicas; the brokers commit %.0f transactions/s, %d a"
              + " device and checkpoint.")
          .formatted(
              picturesPerDevice,
              pictureBytes / 1000,
              trajectoryBytes / 1024,
              capacity,
              checkpointSeconds,
              storageBytes / MEBIBYTE,
              partitionBytes / MEBIBYTE,
              brokers,
              brokerBytes / 1e6,
              replicas,
              commits,
              transactionsPerDevice);
    }
  }

  /**
   * Where something ends.
   *
   * @param devices with which it is reached, at their full rate
   * @param why and what to do about it
   */
  public record Limit(String what, double devices, double picturesPerSecond, String why) {}

  /** The limits, the nearest first. */
  public static List<Limit> of(Assumptions a) {
    double bytesPerDevice = a.picturesPerDevice() * a.pictureBytes();
    return Stream.of(
            limit(
                a,
                "One partition's bytes",
                a.partitionBytes() / bytesPerDevice,
                "pictures in the events of one partition; give the topic more partitions, or lower"
                    + " diffusion.payload.inline-limit, and events carry references."),
            limit(
                a,
                "Brokers' bytes",
                a.brokers() * a.brokerBytes() / a.replicas() / bytesPerDevice,
                "pictures in events, each to every replica; with references Kafka carries about a"
                    + " kilobyte a picture, and the store the rest."),
            limit(
                a,
                "Bytes of a checkpoint",
                a.checkpointSeconds() * a.storageBytes() / (a.capacity() * a.trajectoryBytes()),
                "a checkpoint takes as long as the interval; checkpoint less often, or lower"
                    + " diffusion.capacity, which bounds what is in flight and saved."),
            limit(
                a,
                "Transactions a checkpoint",
                a.checkpointSeconds() * a.commits() / a.transactionsPerDevice(),
                "every sink subtask commits one a checkpoint and topic; give sinks a lower"
                    + " parallelism than the operator, or checkpoint less often."))
        .sorted(Comparator.comparingDouble(Limit::devices))
        .toList();
  }

  private static Limit limit(Assumptions a, String what, double devices, String why) {
    return new Limit(what, devices, devices * a.picturesPerDevice(), why);
  }
}
