/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import static io.github.flinkdiffusion.ops.fakes.FakePipeline.request;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.batching.BatchSettings;
import io.github.flinkdiffusion.ops.batching.BatchingException;
import io.github.flinkdiffusion.ops.batching.Patience;
import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.batching.RequestListener;
import io.github.flinkdiffusion.ops.batching.SharedBatchers;
import io.github.flinkdiffusion.ops.batching.Submission;
import io.github.flinkdiffusion.ops.batching.Work;
import io.github.flinkdiffusion.ops.fakes.ExternalGpu;
import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.flink.api.common.externalresource.ExternalResourceInfo;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Subtasks of one task manager on its GPUs, which are pipelines of the test's. */
@Timeout(60) // a deadlock must not hang the build
class SeveralGpusTest {
  private static final BatchSettings SETTINGS = BatchSettings.ofRows(4);
  private static final Patience PATIENCE = new Patience(Duration.ofMinutes(1), "the test's");

  private static final String MODEL = SeveralGpusTest.class.getName();

  private final SharedBatchers shared = SharedBatchers.ofProcess();
  private final Map<String, FakePipeline> opened = new ConcurrentHashMap<>();
  private final Map<String, AtomicInteger> openings = new ConcurrentHashMap<>();
  private final Set<String> lost = ConcurrentHashMap.newKeySet();
  private final List<SharedBatchers.Lease> leases = new ArrayList<>();

  @AfterEach
  void everyModelIsFreed() {
    leases.forEach(SharedBatchers.Lease::close);
    Awaitility.await()
        .untilAsserted(() -> assertThat(opened.values()).allMatch(pipeline -> pipeline.closed));
  }

  private static Set<ExternalResourceInfo> gpus(int... indexes) {
    return ExternalGpu.withIndexes(indexes);
  }

  /** As an operator's task does. */
  private SharedBatchers.Lease open(int subtask, Set<ExternalResourceInfo> gpus)
      throws InterruptedException {
    String device = DevicePlacement.choose("auto", gpus, subtask);
    return shared.acquire(
        new SharedBatchers.Key(MODEL, device),
        SETTINGS,
        () -> {
          openings.computeIfAbsent(device, key -> new AtomicInteger()).incrementAndGet();
          if (lost.contains(device)) {
            throw new IllegalStateException("CUDA error: device " + device + " is lost");
          }
          FakePipeline pipeline = new FakePipeline();
          opened.put(device, pipeline);
          return pipeline;
        },
        PATIENCE);
  }

  private SharedBatchers.Lease keep(SharedBatchers.Lease lease) {
    leases.add(lease);
    return lease;
  }

  private int openingsOf(String device) {
    return openings.getOrDefault(device, new AtomicInteger()).get();
  }

  @Test
  void moreSubtasksThanGpusShareOneModelOnEach() throws Exception {
    List<SharedBatchers.Lease> subtasks = new ArrayList<>();
    for (int subtask = 0; subtask < 8; subtask++) {
      subtasks.add(keep(open(subtask, gpus(0, 1, 2))));
    }

    assertThat(opened).containsOnlyKeys("gpu:0", "gpu:1", "gpu:2");
    for (int subtask = 0; subtask < 8; subtask++) {
      assertThat(subtasks.get(subtask).batcher()).isSameAs(subtasks.get(subtask % 3).batcher());
    }
    assertThat(List.of(openingsOf("gpu:0"), openingsOf("gpu:1"), openingsOf("gpu:2")))
        .containsOnly(1);
  }

  @Test
  void subtasksThatOpenAtOnceLoadEachGpusModelOnce() throws Exception {
    ExecutorService tasks = Executors.newFixedThreadPool(8);
    try {
      List<Future<SharedBatchers.Lease>> opening = new ArrayList<>();
      for (int subtask = 0; subtask < 8; subtask++) {
        int index = subtask;
        opening.add(tasks.submit(() -> open(index, gpus(0, 1))));
      }
      for (Future<SharedBatchers.Lease> each : opening) {
        keep(each.get());
      }
    } finally {
      tasks.shutdownNow();
    }

    assertThat(openingsOf("gpu:0")).isEqualTo(1);
    assertThat(openingsOf("gpu:1")).isEqualTo(1);
  }

  @Test
  void fewerSubtasksThanGpusLeaveTheRestAlone() throws Exception {
    keep(open(0, gpus(4, 5, 6, 7)));
    keep(open(1, gpus(4, 5, 6, 7)));

    assertThat(opened).containsOnlyKeys("gpu:4", "gpu:5");
  }

  @Test
  void aModelStaysUntilTheLastSubtaskOfItsGpuIsGone() throws Exception {
    SharedBatchers.Lease first = open(0, gpus(0, 1));
    keep(open(1, gpus(0, 1)));
    SharedBatchers.Lease third = open(2, gpus(0, 1));

    first.close();
    assertThat(opened.get("gpu:0").closed).isFalse();
    third.close();
    Awaitility.await().until(() -> opened.get("gpu:0").closed);
    assertThat(opened.get("gpu:1").closed).isFalse();
  }

  @Test
  void aGpuThatFailsToOpenFailsItsSubtasksAndNoOther() throws Exception {
    lost.add("gpu:1");
    keep(open(0, gpus(0, 1)));
    for (int subtask : new int[] {1, 3}) {
      assertThatThrownBy(() -> open(subtask, gpus(0, 1)))
          .isInstanceOf(BatchingException.class)
          .hasMessageContaining("gpu:1")
          .hasMessageContaining("is lost");
    }
    assertThat(openingsOf("gpu:1")).as("each attempt tries the device").isEqualTo(2);
    assertThat(generate(keep(open(2, gpus(0, 1))), "after").request().id()).isEqualTo("after");

    lost.clear();
    assertThat(generate(keep(open(1, gpus(0, 1))), "repaired").request().id())
        .isEqualTo("repaired");
  }

  @Test
  void aGpuThatBreaksAtWorkFailsItsOwnRequestsOnly() throws Exception {
    SharedBatchers.Lease healthy = keep(open(0, gpus(0, 1)));
    SharedBatchers.Lease breaking = open(1, gpus(0, 1));
    opened.get("gpu:1").deviceErrors.add("broken@0");

    assertThatThrownBy(() -> generate(breaking, "broken"))
        .hasMessageContaining("The device broke.");
    assertThat(generate(healthy, "other").request().id()).isEqualTo("other");
    breaking.close();
    assertThat(generate(keep(open(1, gpus(0, 1))), "again").request().id()).isEqualTo("again");
    assertThat(openingsOf("gpu:1")).isEqualTo(2);
    assertThat(openingsOf("gpu:0")).isEqualTo(1);
  }

  private static GeneratedImage generate(SharedBatchers.Lease lease, String id) {
    CompletableFuture<GeneratedImage> image = new CompletableFuture<>();
    lease
        .batcher()
        .join(image::completeExceptionally)
        .submit(
            new Work.Fresh(request(id, 2)),
            Submission.DEFAULT,
            new RequestListener() {
              @Override
              public void onFinished(GeneratedImage finished) {
                image.complete(finished);
              }

              @Override
              public void onFailed(RequestFailure failure) {
                image.completeExceptionally(new IllegalStateException(failure.message()));
              }
            });
    return image.join();
  }
}
