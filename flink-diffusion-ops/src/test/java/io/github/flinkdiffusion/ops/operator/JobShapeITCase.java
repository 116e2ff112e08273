/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.flink.api.common.functions.Partitioner;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** Which job shape an operator finds itself in. */
@Timeout(120) // a job that hangs must not hang the build
class JobShapeITCase {
  @RegisterExtension
  static final MiniClusterExtension CLUSTER =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(2)
              .build());

  @TempDir Path folder;

  @BeforeEach
  void reset() {
    Probe.SEEN.clear();
  }

  @Test
  void anExchangeWithUnalignedCheckpointsLetsThemPassAndAFixedEdgeDoesNot() throws Exception {
    run(true);
    assertThat(Probe.SEEN)
        .containsOnly(
            Map.entry("chained", JobShape.CHAINED_SOURCE),
            Map.entry("rebalance", JobShape.UNALIGNED_EXCHANGE),
            Map.entry("keyBy", JobShape.UNALIGNED_EXCHANGE),
            Map.entry("forward", JobShape.FIXED_EDGE),
            Map.entry("rescale", JobShape.FIXED_EDGE),
            Map.entry("broadcast", JobShape.FIXED_EDGE));
  }

  @Test
  void withoutUnalignedCheckpointsOnlyAChainedSourceLetsThemPass() throws Exception {
    run(false);
    assertThat(Probe.SEEN)
        .containsEntry("chained", JobShape.CHAINED_SOURCE)
        .containsEntry("rebalance", JobShape.ALIGNED_EXCHANGE)
        .containsEntry("keyBy", JobShape.ALIGNED_EXCHANGE)
        .containsEntry("forward", JobShape.FIXED_EDGE)
        .containsEntry("custom", JobShape.FIXED_EDGE);
    assertThat(Probe.SEEN.entrySet())
        .filteredOn(entry -> entry.getValue().passes())
        .extracting(Map.Entry::getKey)
        .containsExactly("chained");
  }

  private void run(boolean unaligned) throws Exception {
    Configuration config = new Configuration();
    config.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(100));
    config.set(CheckpointingOptions.ENABLE_UNALIGNED, unaligned);
    config.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, folder.toUri().toString());
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(config);
    env.setParallelism(2);
    probe("chained", numbers(env));
    probe("rebalance", numbers(env).rebalance());
    probe("keyBy", numbers(env).keyBy(number -> number));
    probe("forward", numbers(env).forward()).startNewChain();
    probe("rescale", numbers(env).rescale());
    probe("broadcast", numbers(env).broadcast());
    if (!unaligned) { // Flink refuses such a job
      probe("custom", numbers(env).partitionCustom(new First(), number -> number));
    }
    env.execute();
  }

  private static DataStream<Long> numbers(StreamExecutionEnvironment env) {
    return env.fromSequence(0, 1);
  }

  private static SingleOutputStreamOperator<Long> probe(String name, DataStream<Long> input) {
    SingleOutputStreamOperator<Long> probe = input.transform(name, Types.LONG, new Probe(name));
    probe.sinkTo(new DiscardingSink<>());
    return probe;
  }

  private static final class First implements Partitioner<Long> {
    private static final long serialVersionUID = 1L;

    @Override
    public int partition(Long key, int partitions) {
      return 0;
    }
  }

  private static final class Probe extends AbstractStreamOperator<Long>
      implements OneInputStreamOperator<Long, Long> {
    private static final long serialVersionUID = 1L;
    static final Map<String, JobShape> SEEN = new ConcurrentHashMap<>();
    private final String name;

    Probe(String name) {
      this.name = name;
    }

    @Override
    public void open() {
      boolean gated = CapacityGate.install(getContainingTask(), () -> false) != null;
      SEEN.put(name, JobShape.of(getContainingTask(), gated));
    }

    @Override
    public void processElement(StreamRecord<Long> number) {
      output.collect(number);
    }
  }
}
