/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.prompt;
import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static io.github.flinkdiffusion.ops.operator.Subtask.undisturbed;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.fakes.OpenedBy;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.execution.SuppressRestartsException;
import org.apache.flink.runtime.state.OperatorStateBackend;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.Test;

/** What Flink holds of the operator's requests, and since when it does so. */
class SavedStateTest {
  private static final ListStateDescriptor<byte[]> OF_BYTES =
      new ListStateDescriptor<>(
          "diffusion-in-flight", PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);
  private static final ListStateDescriptor<InFlight> OF_REQUESTS =
      new ListStateDescriptor<>("diffusion-requests", InFlightTypeSerializer.INSTANCE);

  private final ManualDevices devices = new ManualDevices();
  private final FakePipelines pipelines = new FakePipelines();

  private static <T> List<T> held(Subtask subtask, ListStateDescriptor<T> which) throws Exception {
    OperatorStateBackend backend =
        ((AbstractStreamOperator<?>) subtask.harness.getOperator()).getOperatorStateBackend();
    List<T> items = new ArrayList<>();
    backend.getListState(which).get().forEach(items::add);
    return items;
  }

  @Test
  void savedRequestsAreLetGoAfterTheSnapshot() throws Exception {
    try (Subtask subtask = new Subtask(pipelines, settings(), devices.services).open()) {
      subtask.harness.processElement(prompt("a", 3), 0);
      subtask.harness.processElement(prompt("b", 1), 0);
      subtask.snapshot();
      assertThat(held(subtask, OF_REQUESTS)).hasSize(2);
      subtask.deliverAllMail();
      assertThat(held(subtask, OF_REQUESTS)).isEmpty();
    }
  }

  @Test
  void whatEarlierVersionsSavedIsReadAndThenWrittenInTodaysWay() throws Exception {
    List<PromptEvent> prompts = List.of(prompt("a", 3), prompt("b", 2));
    OperatorSubtaskState ofEarlierVersion;
    try (OneInputStreamOperatorTestHarness<PromptEvent, ImageEvent> earlier =
        new OneInputStreamOperatorTestHarness<>(new EarlierOperator(prompts))) {
      earlier.open();
      ofEarlierVersion = earlier.snapshot(1, 1);
    }
    OperatorSubtaskState ofToday;
    try (Subtask subtask =
        new Subtask(pipelines, settings(), devices.services).restore(ofEarlierVersion)) {
      assertThat(held(subtask, OF_BYTES)).isEmpty();
      ofToday = subtask.snapshot();
    }
    ManualDevices after = new ManualDevices();
    try (Subtask subtask =
        new Subtask(new FakePipelines(), settings(), after.services).restore(ofToday)) {
      subtask.settle(after);

      assertThat(subtask.imageIds()).containsExactlyInAnyOrder("a", "b");
    }
  }

  /** Keeps requests as byte arrays. */
  private static final class EarlierOperator extends AbstractStreamOperator<ImageEvent>
      implements OneInputStreamOperator<PromptEvent, ImageEvent> {
    private static final long serialVersionUID = 1L;
    private final transient List<PromptEvent> prompts;

    EarlierOperator(List<PromptEvent> prompts) {
      this.prompts = prompts;
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
      super.initializeState(context);
      ListState<byte[]> state = context.getOperatorStateStore().getListState(OF_BYTES);
      for (PromptEvent prompt : prompts) {
        state.add(
            InFlightSerializer.serialize(new InFlight.Waiting(OptionalLong.of(5), prompt, 0)));
      }
    }

    @Override
    public void processElement(StreamRecord<PromptEvent> element) {}
  }

  @Test
  void whereObjectsAreReusedASavedImageIsNotTheOneThatIsEmitted() throws Exception {
    PromptEvent prompt = prompt("a", 1);
    OperatorSubtaskState state;
    try (Subtask subtask = new Subtask(pipelines, settings(), devices.services)) {
      subtask.harness.getExecutionConfig().enableObjectReuse();
      subtask.open();
      subtask.harness.processElement(prompt, 0);
      while (devices.deviceCall() || devices.encodeOne()) {}
      subtask.snapshot();
      InFlight.Finished saved = (InFlight.Finished) held(subtask, OF_REQUESTS).get(0);
      ImageEvent savedImage = ((Outcome.Picture) saved.outcome()).event();
      subtask.deliverAllMail();

      assertThat(subtask.images().get(0)).isEqualTo(savedImage).isNotSameAs(savedImage);
      assertThat(savedImage.getImage().array()).isEqualTo(undisturbed(prompt));
    }
  }

  @Test
  void aCapacityThatCannotFitTheHeapIsRefusedWithNumbers() throws Exception {
    PipelineFactory large =
        new OpenedBy(
            "large",
            () -> {
              FakePipeline pipeline = new FakePipeline();
              pipeline.trajectoryBytes = 1L << 30;
              return pipeline;
            });
    Subtask subtask =
        new Subtask(large, settings(DiffusionOptions.CAPACITY, 4000), devices.services);
    assertThatThrownBy(subtask::open)
        .isInstanceOf(SuppressRestartsException.class)
        .cause()
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("diffusion.capacity is 4000")
        .hasMessageContaining("8 x 8 pixels")
        .hasMessageContaining("taskmanager.memory.task.heap.size");
    subtask.close();
    assertThat(devices.services.models().size()).isZero();
  }
}
