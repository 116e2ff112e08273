/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.CloseableIterator;
import org.apache.flink.util.ExceptionUtils;

/**
 * Examines the TaskManagers of a running cluster, as a job that ends by itself:
 *
 * <pre>{@code
 * flink run -p 4 -c io.github.flinkdiffusion.ops.doctor.ClusterDoctor \
 *     -Ddiffusion.model.folder=/models/sd-1.5 $FLINK_HOME/lib/flink-diffusion-datastream-*.jar posters-prompts posters-images
 * }</pre>
 *
 * Arguments are the job's topics. Give it as many subtasks as the cluster has free slots, so that
 * each TaskManager gets one; one that gets several examines itself once. With more, Flink waits for
 * slots ({@code slot.request.timeout}, 5 minutes unless set). It ends with an exception when a
 * TaskManager has an error, or when there are too few slots.
 */
@Internal
public final class ClusterDoctor {
  /** Of Flink's exception, whose class does not survive all ways to the client. */
  private static final String NO_SLOTS = "Could not acquire the minimum required resources";

  private ClusterDoctor() {}

  public static void main(String[] args) throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    System.out.printf("Waiting for %d free slots of the cluster.%n", env.getParallelism());
    Map<String, List<Finding>> findings = examine(env, List.of(args));
    System.out.printf("%d TaskManager(s) with free slots were examined.%n", findings.size());
    findings.forEach((where, found) -> Doctor.print(found, false, where + ": ", System.out));
    if (findings.values().stream().anyMatch(found -> Doctor.exitCode(found) != 0)) {
      throw new IllegalStateException(
          "The doctor found errors, see above. They stop a job on these TaskManagers.");
    }
  }

  /**
   * Findings by TaskManager: process id and host.
   *
   * @throws IllegalStateException when the cluster has too few free slots
   */
  static Map<String, List<Finding>> examine(StreamExecutionEnvironment env, List<String> topics)
      throws Exception {
    // A second attempt would wait as long as the first.
    env.configure(new Configuration().set(RestartStrategyOptions.RESTART_STRATEGY, "none"));
    try {
      return examined(env, topics);
    } catch (Exception e) {
      if (ExceptionUtils.findThrowableWithMessage(e, NO_SLOTS).isPresent()) {
        throw new IllegalStateException(
            ("The cluster has fewer than %d free slots. Its web UI shows how many it has; give this"
                    + " number as -p, or cancel a job. TaskManagers without a free slot cannot be"
                    + " examined this way.")
                .formatted(env.getParallelism()),
            e);
      }
      throw e;
    }
  }

  private static Map<String, List<Finding>> examined(
      StreamExecutionEnvironment env, List<String> topics) throws Exception {
    Map<String, String> options = new TreeMap<>();
    env.getConfiguration().toMap().forEach(options::put);
    List<String> copied = new ArrayList<>(topics);
    Map<String, List<Finding>> findings = new TreeMap<>();
    try (CloseableIterator<Report> reports =
        env.fromSequence(1, env.getParallelism())
            .map(number -> Report.here(options, copied))
            .returns(Types.GENERIC(Report.class))
            .name("doctor")
            .executeAndCollect("doctor")) {
      reports.forEachRemaining(report -> findings.putIfAbsent(report.where(), report.findings()));
    }
    return findings;
  }

  /** What one TaskManager found. */
  record Report(String where, List<Finding> findings) {
    static Report here(Map<String, String> options, List<String> topics) {
      Configuration config = Configuration.fromMap(options);
      List<Finding> found = new Doctor().examine(Setup.here(config, topics));
      return new Report(ManagementFactory.getRuntimeMXBean().getName(), new ArrayList<>(found));
    }
  }
}
