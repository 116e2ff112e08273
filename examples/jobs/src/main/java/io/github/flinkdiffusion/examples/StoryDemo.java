/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.format.EventWriter;
import io.github.flinkdiffusion.connector.kafka.JobFormats;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.operator.PromptCheck;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.serving.KnownOptions;
import io.github.flinkdiffusion.ops.serving.ModelList;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.apache.flink.configuration.Configuration;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/**
 * A story of several scenes through Kafka and Flink to images and a storyboard.
 *
 * <p>Exit codes as those of {@link TextToImageDemo}.
 */
@Command(
    name = "examples/story",
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Send the scenes of a story through Kafka and Flink, and write PNG files, a storyboard and a"
          + " list (story.json).",
      "Starts a Kafka broker and a Flink cluster in this process. Without a file, it uses"
          + " examples/stories/turtle.json.",
      ""
    })
public final class StoryDemo implements Callable<Integer> {
  private static final String TOPIC_PREFIX = "story-";

  @Mixin private DemoOptions options;

  @Mixin private PromptModel model;

  @Parameters(
      arity = "0..1",
      paramLabel = "FILE",
      defaultValue = "${sys:flinkdiffusion.home:-.}/examples/stories/turtle.json",
      showDefaultValue = CommandLine.Help.Visibility.NEVER,
      description =
          "JSON object with \"scenes\", each a text or an object with \"prompt\" and \"caption\"."
              + " \"title\" and \"style\" are the story's; any other field of a prompt event, such"
              + " as \"seed\" or \"parameters\", holds for all scenes, and a scene's own wins.")
  private Path file;

  @Option(
      names = "--steps",
      paramLabel = "N",
      defaultValue = "25",
      description = "Denoising steps of scenes that do not say (default: ${DEFAULT-VALUE}).")
  private int steps;

  private StoryDemo() {}

  public static void main(String[] args) {
    DemoCommand.main(new StoryDemo(), args);
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new StoryDemo(), args);
  }

  @Override
  public Integer call() throws Exception {
    // Everything that can be wrong is found before anything is started or written.
    if (steps < 1) {
      throw new DemoException("--steps is %d; it must be at least 1.".formatted(steps));
    }
    int parallelism = options.parallelism();
    Configuration settings = settings();
    Story story = completed(Story.read(file));
    check(settings, story);
    EventWriter<PromptEvent> writer =
        JobFormats.requests(settings)
            .writer(PromptEvent.class, Topics.withPrefix(TOPIC_PREFIX).requests());
    JobFormats.results(settings);
    PayloadStore payloads = new PayloadStore(PayloadSettings.of(settings));
    OutputFolder.check(options.out());

    OutputFolder folder = OutputFolder.create(options.out());
    DemoCommand.logTo(folder.path().resolve(OutputFolder.LOG));
    System.err.printf(
        "%s of \"%s\" with %s on %s; %s%n",
        Count.of(story.scenes().size(), "scene"),
        story.title(),
        model.name(),
        Engines.standard().device(options.device()),
        options.hasKafka() ? "starting Flink" : "starting Kafka and Flink");
    List<DemoRun.Request> requests = new ArrayList<>();
    for (Story.Scene scene : story.scenes()) {
      requests.add(new DemoRun.Request(scene.event().getId(), writer.write(scene.event())));
    }
    long begin = System.nanoTime();
    DemoRun.Results results =
        options.draw(Topics.withPrefix(TOPIC_PREFIX), settings, true, parallelism, requests);
    double seconds = Duration.ofNanos(System.nanoTime() - begin).toMillis() / 1000.0;
    List<String> missing = Storyboard.write(folder, payloads, story, results);
    System.out.printf(
        Locale.ROOT,
        "%s in %.1f s, %s%nResults are in %s%n",
        Count.of(results.images().size(), story.scenes().size(), "image"),
        seconds,
        "%s of %.1f rows on average"
            .formatted(
                Count.of(results.batches().calls(), "network call"), results.batches().meanRows()),
        folder.path());
    if (!missing.isEmpty()) {
      throw new DemoException(
          "%s failed: %s"
              .formatted(
                  Count.of(missing.size(), story.scenes().size(), "scene"),
                  String.join("; ", missing)));
    }
    return 0;
  }

  private Configuration settings() {
    Configuration settings = new Configuration();
    model.addTo(settings, options.device());
    options.addTo(settings);
    KnownOptions.refuseUnreadable(settings);
    return settings;
  }

  /** With the command's steps, and the model's own guidance, where a scene does not say. */
  private Story completed(Story story) {
    PromptNotes notes = new PromptNotes(Map.of(ModelList.DEFAULT, model.folder()));
    List<Story.Scene> scenes = new ArrayList<>();
    for (Story.Scene scene : story.scenes()) {
      PromptEvent.Builder event = PromptEvent.newBuilder(scene.event());
      if (!event.hasSteps() || event.getSteps() == null) {
        event.setSteps(steps);
      }
      if (event.getGuidanceScale() == null) {
        notes.guidance(scene.event()).ifPresent(event::setGuidanceScale);
      }
      scenes.add(new Story.Scene(scene.caption(), event.build()));
      notes.lines(scene.event()).forEach(System.err::println);
    }
    return new Story(story.id(), story.title(), List.copyOf(scenes));
  }

  /** Asks the model whether it accepts the scenes, without loading it. */
  private void check(Configuration settings, Story story) {
    PromptCheck check = PromptCheck.of(settings);
    for (int i = 0; i < story.scenes().size(); i++) {
      PromptEvent event = story.scenes().get(i).event();
      try {
        check.require(event);
      } catch (InvalidRequestException e) {
        throw new DemoException(
            "%s, scene %d, \"%s\": %s".formatted(file, i + 1, event.getPrompt(), e.getMessage()),
            e);
      }
    }
  }
}
