/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import static io.github.flinkdiffusion.cluster.Measured.say;
import static io.github.flinkdiffusion.cluster.Measured.until;

import io.github.flinkdiffusion.examples.TextToImageJob;
import io.github.flinkdiffusion.examples.Topics;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** A job is cancelled while its device is busy for long, beside another job. */
@Command(
    name = "cancel",
    mixinStandardHelpOptions = true,
    description =
        "A job is cancelled during a device call of a minute (a stand-in: mini-emoji whose calls"
            + " cannot be interrupted), with another job on the same TaskManager.")
final class CancelDuringCall implements Callable<Integer> {
  private static final double MOST_SECONDS = 5;

  @Option(
      names = "--seconds",
      defaultValue = "75",
      description = "Of a call (default: ${DEFAULT-VALUE}).")
  private int seconds;

  @Option(names = "--folder", defaultValue = "target/cancel")
  private Path folder;

  @Override
  public Integer call() throws Exception {
    try (Measured measured =
        new Measured(folder, List.of(), "broker", "jobmanager", "taskmanager-1")) {
      FlinkRest rest = measured.rest();
      Topics slow = measured.createTopics("slow-");
      Topics quick = measured.createTopics("quick-");
      List<String> options = List.of("-p", "1", "-Ddiffusion.batch.rows=4");
      String other = measured.submit(TextToImageJob.class.getName(), options, "quick-");
      try (Answers answers = new Answers(measured.servers(), quick, 1)) {
        measured.send(quick, List.of(Measured.prompt("before", 4)));
        until("the other job works", () -> answers.count() == 1);

        String job =
            measured.submit(
                SlowDeviceJob.class.getName(), options, "slow-", seconds + "000", "true");
        until("the slow job runs", () -> rest.job(job).allTasksRun());
        measured.send(slow, List.of(Measured.prompt(SlowDevice.SLOW_REQUEST + "1", 4)));
        until("it is in its call", () -> logged(measured, SlowDevice.BEGINS) == 1);
        long callBegan = System.nanoTime();
        long checkpoint = rest.checkpoints(job).lastCompleted();
        until("it checkpoints", () -> rest.checkpoints(job).lastCompleted() >= checkpoint + 3);
        say(
            "its checkpoints went on during the call: 3 in %.1f s",
            (System.nanoTime() - callBegan) / 1e9);
        long pid = measured.pid("taskmanager-1");
        long checkpointsOfOther = rest.checkpoints(other).lastCompleted();

        long cancelled = System.nanoTime();
        rest.cancel(job);
        until("the job is gone", () -> !rest.jobs().containsValue(job));
        double gone = (System.nanoTime() - cancelled) / 1e9;
        say("cancelled during a call of %d s: the job is gone after %.1f s", seconds, gone);

        // The same model, which the device still computes for nobody.
        String again =
            measured.submit(
                SlowDeviceJob.class.getName(), options, "slow-", seconds + "000", "true");
        measured.send(quick, List.of(Measured.prompt("during", 4)));
        until(
            "the other job checkpoints",
            () -> rest.checkpoints(other).lastCompleted() >= checkpointsOfOther + 5);
        until("the other job works", () -> answers.count() == 2);
        say(
            "the other job, of another model, completed 5 checkpoints and a request in %.1f s after"
                + " the cancellation",
            (System.nanoTime() - cancelled) / 1e9);
        boolean stillCalling = logged(measured, SlowDevice.ENDS) == 0;
        say("the call still ran then: %s", stillCalling);
        until("the call ends", () -> logged(measured, SlowDevice.ENDS) == 1);
        long ended = System.nanoTime();
        boolean lives =
            Files.exists(Path.of("/proc/" + pid))
                && rest.taskManagers().contains("taskmanager-1")
                && rest.restarts(other) == 0;
        say(
            "the call ended %.1f s after the cancellation; the TaskManager lives, and the other job"
                + " was not restarted: %s",
            (ended - cancelled) / 1e9, lives);
        try (Answers slowAnswers = new Answers(measured.servers(), slow, 1)) {
          until("the same job, submitted again, works", () -> slowAnswers.count() == 1);
          say(
              "the same job, submitted again at once, had its request done %.1f s after the call's"
                  + " end",
              (System.nanoTime() - ended) / 1e9);
        }
        rest.cancel(again);
        long errors =
            logged(measured, "NoClassDefFoundError") + logged(measured, "leaking classloaders");
        say("class loading errors in the TaskManager's log: %d", errors);
        return gone <= MOST_SECONDS && lives && errors == 0 ? 0 : 1;
      }
    }
  }

  /** How many lines of the TaskManager's log have this in them. */
  private static long logged(Measured measured, String text) throws IOException {
    try (Stream<String> lines =
        Files.lines(measured.cluster().folder().resolve("log/taskmanager-1.log"))) {
      return lines.filter(line -> line.contains(text)).count();
    }
  }
}
