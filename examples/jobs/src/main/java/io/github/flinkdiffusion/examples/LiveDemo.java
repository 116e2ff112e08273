/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.format.EventWriter;
import io.github.flinkdiffusion.connector.kafka.JobFormats;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.operator.ImageTaskCheck;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.LiveOptions;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.Callable;
import org.apache.flink.configuration.Configuration;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Streams of frames through Kafka and Flink; docs/LIVE.md is about them. */
@Command(
    name = "examples/live",
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Send streams of frames through Kafka and Flink, and write the results in order, with how"
          + " many frames were generated and how much the results flicker.",
      "Each frame is generated from itself and the previous result of its stream. A frame that"
          + " hardly changed is answered with the previous result.",
      "Starts a Kafka broker and a Flink cluster in this process.",
      ""
    })
public final class LiveDemo implements Callable<Integer> {
  @Mixin private DemoOptions options;

  @Parameters(
      paramLabel = "FILE",
      description =
          "Streams: animated GIF or PNG files, Motion JPEG files, or folders of images (default:"
              + " four cameras that move over the model's example inputs).")
  private List<Path> files = new ArrayList<>();

  @Option(
      names = "--model",
      paramLabel = "MODEL",
      converter = ModelPath.class,
      description =
          "Model folder in diffusers' layout, or hf://owner/name, that generates images from images"
              + " (default: the embedded model, which enlarges four times).")
  private Path model;

  @Option(
      names = "--steps",
      paramLabel = "N,N",
      split = ",",
      defaultValue = "1,2,3,4",
      description = "Denoising steps; the streams take them in turn (default: ${DEFAULT-VALUE}).")
  private List<Integer> steps = new ArrayList<>();

  @Option(
      names = "--blend",
      paramLabel = "SHARE",
      defaultValue = "0.2",
      description =
          "Share of the previous result in what a frame is generated from, from 0 and below 1"
              + " (default: ${DEFAULT-VALUE}).")
  private double blend;

  @Option(
      names = "--similarity",
      paramLabel = "COSINE",
      defaultValue = "0.98",
      description =
          "Similarity to the last generated frame above which a frame may be answered with its"
              + " result (default: ${DEFAULT-VALUE}).")
  private double similarity;

  @Option(
      names = "--every-frame",
      description = "Generate every frame, however similar it is to the one before.")
  private boolean everyFrame;

  @Option(
      names = "--prompt",
      paramLabel = "TEXT",
      defaultValue = "",
      description = "Prompt of all frames, for models that take one.")
  private String prompt;

  @Option(
      names = "--strength",
      paramLabel = "SHARE",
      description = "Share of each image that is generated again, for models that take it.")
  private Double strength;

  @Option(
      names = "--frames",
      paramLabel = "N",
      defaultValue = "48",
      description =
          "Maximum frames of each stream; the others are left out (default: ${DEFAULT-VALUE}).")
  private int frames;

  @Option(
      names = "--topic-prefix",
      paramLabel = "PREFIX",
      defaultValue = "live-",
      description =
          "The topics are PREFIXimage-tasks, PREFIXimages, PREFIXfailures and PREFIXprogress"
              + " (default: ${DEFAULT-VALUE}).")
  private String topicPrefix;

  private LiveDemo() {}

  public static void main(String[] args) {
    DemoCommand.main(new LiveDemo(), args);
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new LiveDemo(), args);
  }

  @Override
  public Integer call() throws Exception {
    // Everything that can be wrong is found before anything is started or written.
    if (steps.isEmpty() || steps.stream().anyMatch(each -> each < 1)) {
      throw new DemoException("--steps is %s; each must be at least 1.".formatted(steps));
    }
    if (frames < 1) {
      throw new DemoException("--frames is %d; it must be at least 1.".formatted(frames));
    }
    Path home = Path.of(System.getProperty("flinkdiffusion.home", "."));
    Path modelPath = model == null ? home.resolve("examples/models/mini-satellite-x4") : model;
    ModelFolder modelFolder = ModelFolder.open(modelPath);
    Configuration settings = settings(modelPath);
    check(settings);
    List<LiveClip> clips =
        files.isEmpty()
            ? LiveClip.cameras(modelPath.resolve("inputs"), frames)
            : LiveClip.of(files, frames);
    EventWriter<ImageTaskEvent> writer =
        JobFormats.requests(settings)
            .writer(ImageTaskEvent.class, Topics.ofImageTasks(topicPrefix).requests());
    JobFormats.results(settings);
    OutputFolder.check(options.out());
    hintAtPrompt(prompt, modelFolder).ifPresent(System.err::println);

    OutputFolder folder = OutputFolder.create(options.out());
    DemoCommand.logTo(folder.path().resolve(OutputFolder.LOG));
    if (!settings.contains(PayloadOptions.STORE)) {
      Path store = Files.createDirectories(folder.path().resolve("payloads"));
      settings.set(PayloadOptions.STORE, store.toAbsolutePath().toUri().toString());
    }
    PayloadStore payloads = new PayloadStore(PayloadSettings.of(settings));
    List<DemoRun.Request> requests = requests(clips, payloads, writer);
    System.err.printf(
        Locale.ROOT,
        "%s in %s with %s on %s; starting %s%n",
        Count.of(requests.size(), "frame"),
        Count.of(clips.size(), "stream"),
        modelFolder.name(),
        Engines.standard().device(options.device()),
        options.hasKafka() ? "Flink" : "Kafka and Flink");
    DemoRun.Results results =
        options.onKafka(
            servers ->
                new DemoRun(
                        servers,
                        Topics.ofImageTasks(topicPrefix),
                        settings,
                        true,
                        options.parallelism(),
                        (env, topics, start) ->
                            ImageTaskJob.create().startingAt(start).define(env, topics))
                    .make(requests));
    String summary = new LiveReport(folder, payloads).write(clips, results);
    folder.write(OutputFolder.SUMMARY_TEXT, summary.getBytes(StandardCharsets.UTF_8));
    System.out.print(summary);
    System.out.println("Results are in " + folder.path());
    if (!results.failures().isEmpty()) {
      throw new DemoException(
          "%s failed; the first reason is: %s"
              .formatted(
                  Count.of(results.failures().size(), requests.size(), "frame"),
                  results.failures().get(0).getMessage()));
    }
    return 0;
  }

  /** The streams' frames in turn, as they would come from cameras. */
  private List<DemoRun.Request> requests(
      List<LiveClip> clips, PayloadStore payloads, EventWriter<ImageTaskEvent> writer) {
    // A broker of one's own remembers earlier runs.
    String run = UUID.randomUUID().toString().substring(0, 8);
    int longest = clips.stream().mapToInt(clip -> clip.frames().size()).max().orElseThrow();
    List<DemoRun.Request> requests = new ArrayList<>();
    for (int number = 0; number < longest; number++) {
      for (int i = 0; i < clips.size(); i++) {
        LiveClip clip = clips.get(i);
        if (number < clip.frames().size()) {
          String stream = run + "-" + clip.name();
          ImageTaskEvent task =
              task(stream + "/" + number, steps.get(i % steps.size()))
                  .setImage(payloads.write(clip.frames().get(number), ""))
                  .setParameters(Map.of("stream", stream, "frame", Integer.toString(number)))
                  .build();
          // Frames of one stream belong into one partition.
          requests.add(new DemoRun.Request(task.getId(), stream, writer.write(task)));
        }
      }
    }
    return requests;
  }

  private ImageTaskEvent.Builder task(String id, int ofSteps) {
    return ImageTaskEvent.newBuilder()
        .setId(id)
        .setImage(Payloads.inline(new byte[0], ""))
        .setPrompt(prompt)
        .setStrength(strength)
        .setSteps(ofSteps);
  }

  /** What to say where the model reads a prompt and there is none. */
  static Optional<String> hintAtPrompt(String prompt, ModelFolder folder) {
    return prompt.isBlank() && folder.has("text_encoder")
        ? Optional.of(
            "%s reads a prompt, and there is none: say with --prompt what the frames are to show."
                .formatted(folder.name()))
        : Optional.empty();
  }

  /** Asks the model whether it accepts what the options say, without loading it. */
  private void check(Configuration settings) {
    try {
      ImageTaskCheck check = ImageTaskCheck.of(settings);
      for (int each : steps) {
        check.require(task("options", each).build());
      }
    } catch (InvalidRequestException e) {
      throw new DemoException(e.getMessage(), e);
    }
  }

  private Configuration settings(Path modelPath) throws IOException {
    Configuration settings = new Configuration();
    settings.set(DiffusionOptions.MODEL_FOLDER, modelPath.toAbsolutePath().toString());
    settings.set(DiffusionOptions.DEVICE, options.device());
    settings.set(DiffusionOptions.PROGRESS_EVERY_STEPS, 1);
    settings.set(LiveOptions.ENABLED, true);
    settings.set(LiveOptions.BLEND, blend);
    settings.set(LiveOptions.TTL, Duration.ofHours(1));
    if (!everyFrame) {
      settings.set(LiveOptions.SIMILARITY, similarity);
    }
    options.addTo(settings);
    return settings;
  }
}
