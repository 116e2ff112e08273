/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.kafka.EventHeaders;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.Test;

class RepetitionsTest {
  private final List<TopicPartition> asked = new ArrayList<>();
  private final Repetitions repetitions =
      new Repetitions(
          partition -> {
            asked.add(partition);
            return 10;
          });

  private static PromptEvent prompt(RecordPosition origin) {
    return PromptEvent.newBuilder()
        .setId("a")
        .setPrompt("b")
        .setOrigin(origin)
        .setContext(
            new RecordContext(
                ByteBuffer.wrap("k".getBytes(UTF_8)),
                Map.of("traceparent", ByteBuffer.wrap("t".getBytes(UTF_8)))))
        .build();
  }

  @Test
  void requestsThatWereThereWhenTheAttemptBeganAreMarkedAndLaterOnesAreNot() {
    PromptEvent old = prompt(new RecordPosition("prompts", 0, 9L));
    PromptEvent marked = repetitions.marked(old);
    assertThat(Contexts.text(marked.getContext(), EventHeaders.DUPLICATE)).isEqualTo("possible");
    assertThat(Contexts.text(marked.getContext(), "traceparent")).isEqualTo("t");
    assertThat(Contexts.key(marked.getContext())).isEqualTo("k".getBytes(UTF_8));
    assertThat(old.getContext().getHeaders()).as("the event itself").hasSize(1);
    PromptEvent later = prompt(new RecordPosition("prompts", 0, 10L));
    assertThat(repetitions.marked(later)).isSameAs(later);
    assertThat(asked).as("once").hasSize(1);
  }

  @Test
  void aFailuresPlaceIsThatOfItsRequest() {
    FailureEvent.Builder failure =
        FailureEvent.newBuilder()
            .setReason(FailureReason.TIMEOUT)
            .setMessage("late")
            .setTopic("prompts")
            .setPartition(3);
    assertThat(repetitions.marked(failure.setOffset(10L).build()).getContext()).isNull();
    assertThat(repetitions.marked(failure.setOffset(0L).build()).getContext().getHeaders())
        .containsOnlyKeys(EventHeaders.DUPLICATE);
  }

  @Test
  void whatDoesNotSayWhereItCameFromIsMarked() {
    assertThat(repetitions.marked(prompt(null)).getContext().getHeaders())
        .containsKey(EventHeaders.DUPLICATE);
    ProgressEvent progress = new ProgressEvent("a", 1, 2, null);
    assertThat(repetitions.marked(progress)).isEqualTo(progress);
    assertThat(asked).isEmpty();
  }
}
