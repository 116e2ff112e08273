/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.examples.Topics;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * One request among twenty ends the TaskManager's process whenever the device works on it. The
 * processes are real: the JobManager hears nothing of the reason, and somebody starts a new
 * TaskManager in place of each that has died.
 *
 * <p>With {@code -Dcluster.death.parallelism=2} a subtask on the other TaskManager goes on freely
 * when the first process dies.
 */
@Timeout(600) // a job that hangs must not hang the build
class ProcessDeathITCase {
  private static final int GOOD = 20;
  private static final int HALVINGS = 5; // of 21 requests
  private static final int PARALLELISM = Integer.getInteger("cluster.death.parallelism", 1);
  private static final String BAD = "r7";
  private static final List<String> TASK_MANAGERS = List.of("taskmanager-1", "taskmanager-2");
  private static final Duration PATIENCE = Duration.ofMinutes(4);

  @Test
  void aRequestThatEndsTheProcessIsFoundAndAllOthersAreAnsweredOnce() throws Exception {
    List<PromptEvent> prompts =
        IntStream.rangeClosed(0, GOOD)
            .mapToObj(number -> Measured.prompt("r" + number, 3))
            .toList();
    // Not a temporary folder: whoever looks into a failure wants the logs.
    try (Measured measured =
        new Measured(
            Path.of("target/process-death-test"),
            List.of(
                "heartbeat.interval: 200",
                "restart-strategy.fixed-delay.delay: 100ms",
                "metrics.fetcher.update-interval: 500"))) {
      Topics topics = measured.createTopics("deadly-", PARALLELISM);
      measured.send(topics, prompts, PARALLELISM);
      String job =
          measured.submit(
              DeadlyDeviceJob.class.getName(),
              List.of(
                  "-p",
                  Integer.toString(PARALLELISM),
                  "-Ddiffusion.capacity=32",
                  "-Ddiffusion.batch.rows=64"),
              "deadly-",
              BAD);
      AtomicInteger deaths = new AtomicInteger();
      int restarts;
      try (Answers answers = new Answers(measured.servers(), topics, PARALLELISM)) {
        Measured.until(
            "all are answered",
            PATIENCE,
            () -> {
              deaths.addAndGet(startAgainWhatHasDied(measured));
              return answers.count() >= prompts.size();
            });
        Measured.until(
            "Flink has counted the restarts",
            PATIENCE,
            () -> measured.rest().restarts(job) >= deaths.get());
        restarts = measured.rest().restarts(job);
        Measured.say("%d processes ended, %d restarts", deaths.get(), restarts);
        measured.cluster().run("flink", "cancel", job);
        answers.close();

        assertThat(answers.failures())
            .extracting(FailureEvent::getId, FailureEvent::getReason)
            .containsExactly(tuple(BAD, FailureReason.POISON));
        assertThat(original(answers.failures().get(0))).isEqualTo(BAD);
        List<String> good = new ArrayList<>(prompts.stream().map(PromptEvent::getId).toList());
        good.remove(BAD);
        assertThat(answers.images())
            .extracting(ImageEvent::getId)
            .containsExactlyInAnyOrderElementsOf(good);
      }
      assertThat(deaths.get()).isBetween(2, 2 + HALVINGS);
      // Flink counts each subtask that a death takes along: they fail one by one.
      assertThat(restarts).isBetween(2, PARALLELISM * (2 + HALVINGS));
    }
  }

  private static String original(FailureEvent failure) throws Exception {
    ByteBuffer bytes = failure.getOriginal().duplicate();
    byte[] copy = new byte[bytes.remaining()];
    bytes.get(copy);
    return EventCodec.prompts().decode(copy).getId();
  }

  /** As Kubernetes, or an operating system's service, would do. */
  private static int startAgainWhatHasDied(Measured measured) throws Exception {
    int died = 0;
    for (String part : TASK_MANAGERS) {
      if (ProcessHandle.of(measured.pid(part)).filter(ProcessHandle::isAlive).isEmpty()) {
        died++;
        measured.cluster().run("start", part);
      }
    }
    return died;
  }
}
