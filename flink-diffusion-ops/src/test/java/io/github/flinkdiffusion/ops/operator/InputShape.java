/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.co.CoMapFunction;
import org.apache.flink.util.Collector;

/** How requests come to the operator. */
enum InputShape {
  CHAINED(false),
  CHAINED_UNALIGNED(true),
  REBALANCED(true),
  KEYED(true),
  BEHIND_TWO_INPUTS(true);

  private static final AvroTypeInfo<PromptEvent> TYPE = new AvroTypeInfo<>(PromptEvent.class);

  final boolean unaligned;

  InputShape(boolean unaligned) {
    this.unaligned = unaligned;
  }

  DataStream<PromptEvent> in(DataStream<PromptEvent> source) {
    return switch (this) {
      case CHAINED, CHAINED_UNALIGNED -> source;
      case REBALANCED -> source.rebalance();
      // Chained to an operator that keeps its key's state, as after a deduplication.
      case KEYED ->
          source.keyBy(PromptEvent::getId).process(new Forward()).uid("keyed").returns(TYPE);
      case BEHIND_TWO_INPUTS ->
          source
              .rebalance()
              .connect(source.rebalance())
              .map(new FirstInput())
              .uid("two")
              .returns(TYPE)
              .filter(prompt -> !prompt.getId().isEmpty());
    };
  }

  private static final class Forward
      extends KeyedProcessFunction<String, PromptEvent, PromptEvent> {
    private static final long serialVersionUID = 1L;

    @Override
    public void processElement(PromptEvent prompt, Context context, Collector<PromptEvent> out) {
      out.collect(prompt);
    }
  }

  /** Both inputs are the same stream; of the second nothing comes through. */
  private static final class FirstInput
      implements CoMapFunction<PromptEvent, PromptEvent, PromptEvent> {
    private static final long serialVersionUID = 1L;

    @Override
    public PromptEvent map1(PromptEvent prompt) {
      return prompt;
    }

    @Override
    public PromptEvent map2(PromptEvent prompt) {
      PromptEvent none = PromptEvent.newBuilder(prompt).build();
      none.setId("");
      return none;
    }
  }
}
