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
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.CloseableIterator;

/**
 * Examines the TaskManagers of a running cluster, as a job that ends by itself:
 *
 * <pre>{@code
 * flink run -p 4 -c io.github.flinkdiffusion.ops.doctor.ClusterDoctor \
 *     -Ddiffusion.model.folder=/models/sd-1.5 $FLINK_HOME/lib/flink-diffusion-datastream-*.jar posters-prompts posters-images
 * }</pre>
 *
 * Arguments are the job's topics. Give it as many subtasks as the cluster has slots, so that each
 * TaskManager gets one; one that gets several examines itself once. It ends with an exception when
 * a TaskManager has an error.
 */
@Internal
public final class ClusterDoctor {
  private ClusterDoctor() {}

  public static void main(String[] args) throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    Map<String, List<Finding>> findings = examine(env, List.of(args));
    findings.forEach((where, found) -> Doctor.print(found, false, where + ": ", System.out));
    if (findings.values().stream().anyMatch(found -> Doctor.exitCode(found) != 0)) {
      throw new IllegalStateException(
          "The doctor found errors, see above. They stop a job on these TaskManagers.");
    }
  }

  /** Findings by TaskManager: process id and host. */
  static Map<String, List<Finding>> examine(StreamExecutionEnvironment env, List<String> topics)
      throws Exception {
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
