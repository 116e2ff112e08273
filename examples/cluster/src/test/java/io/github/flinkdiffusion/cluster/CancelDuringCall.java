package io.github.flinkdiffusion.cluster;

import static io.github.flinkdiffusion.cluster.Measured.say;
import static io.github.flinkdiffusion.cluster.Measured.until;

import io.github.flinkdiffusion.examples.TextToImageJob;
import io.github.flinkdiffusion.examples.Topics;
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
            measured.submit(SlowDeviceJob.class.getName(), options, "slow-", seconds + "000");
        until("the slow job runs", () -> rest.job(job).allTasksRun());
        measured.send(slow, List.of(Measured.prompt("long", 4)));
        // In the call when its first checkpoints hold the request.
        long checkpoint = rest.checkpoints(job).lastCompleted();
        until("it is in its call", () -> rest.checkpoints(job).lastCompleted() >= checkpoint + 3);
        long callBegan = System.nanoTime();
        long pid = measured.pid("taskmanager-1");
        long checkpointsOfOther = rest.checkpoints(other).lastCompleted();

        long cancelled = System.nanoTime();
        rest.cancel(job);
        until("the job is gone", () -> !rest.jobs().containsValue(job));
        double gone = (System.nanoTime() - cancelled) / 1e9;
        say("cancelled during a call of %d s: the job is gone after %.1f s", seconds, gone);

        measured.send(quick, List.of(Measured.prompt("during", 4)));
        until(
            "the other job checkpoints",
            () -> rest.checkpoints(other).lastCompleted() >= checkpointsOfOther + 5);
        say(
            "the other job completed 5 checkpoints in %.1f s after the cancellation",
            (System.nanoTime() - cancelled) / 1e9);
        until("the other job gets the device", () -> answers.count() == 2);
        say(
            "the other job's request, sent then, was done %.1f s after the cancellation (of the"
                + " call, at most %.1f s were left)",
            (System.nanoTime() - cancelled) / 1e9, seconds - (cancelled - callBegan) / 1e9);
        boolean lives =
            Files.exists(Path.of("/proc/" + pid))
                && rest.taskManagers().contains("taskmanager-1")
                && rest.restarts(other) == 0;
        say("the TaskManager lives, and the other job was not restarted: %s", lives);

        String again = measured.submit(SlowDeviceJob.class.getName(), options, "slow-", "0");
        try (Answers slowAnswers = new Answers(measured.servers(), slow, 1)) {
          until("the same job, submitted again, works", () -> slowAnswers.count() == 1);
          say(
              "submitted again, its request was done %.1f s after the cancellation",
              (System.nanoTime() - cancelled) / 1e9);
        }
        rest.cancel(again);
        long errors = noClassDefinition(measured);
        say("class loading errors in the TaskManager's log: %d", errors);
        return gone <= MOST_SECONDS && lives && errors == 0 ? 0 : 1;
      }
    }
  }

  private static long noClassDefinition(Measured measured) throws Exception {
    try (Stream<String> lines =
        Files.lines(measured.cluster().folder().resolve("log/taskmanager-1.log"))) {
      return lines
          .filter(
              line ->
                  line.contains("NoClassDefFoundError") || line.contains("leaking classloaders"))
          .count();
    }
  }
}
