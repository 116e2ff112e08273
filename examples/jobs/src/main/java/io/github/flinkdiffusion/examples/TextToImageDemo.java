/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.scheduler.Schedulers;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
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
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/**
 * Prompts through Kafka and Flink to pictures on disk, in one command that ends by itself.
 *
 * <p>Exit codes: 0 when every prompt became a picture, 1 when something failed, with one line on
 * standard error that says what; 2 when the arguments are wrong.
 */
@Command(
    name = "examples/run",
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Send prompts through Kafka and Flink, and write PNG files, a contact sheet and a summary.",
      "Starts a Kafka broker and a Flink cluster in this process. Without prompts, it uses 16 for"
          + " the embedded model mini-emoji.",
      ""
    })
public final class TextToImageDemo implements Callable<Integer> {
  private static final String MINI_EMOJI = "mini-emoji";
  private static final double MINI_EMOJI_GUIDANCE = 2;

  /** diffusers' default. */
  private static final double STABLE_DIFFUSION_GUIDANCE = 7.5;

  @Mixin private DemoOptions options;

  @Parameters(paramLabel = "PROMPT", description = "Prompts, each in quotes.")
  private List<String> arguments = new ArrayList<>();

  @Option(
      names = "--prompts",
      paramLabel = "FILE",
      description = "Read prompts from a text file with one prompt on each line.")
  private Path file;

  @Option(
      names = "--model",
      paramLabel = "MODEL",
      converter = ModelPath.class,
      defaultValue = "${sys:flinkdiffusion.home:-.}/examples/models/mini-emoji",
      showDefaultValue = CommandLine.Help.Visibility.NEVER,
      description =
          "Model folder in diffusers' layout, or hf://owner/name (default:"
              + " examples/models/mini-emoji).")
  private Path model;

  @Option(
      names = "--steps",
      paramLabel = "N",
      defaultValue = "25",
      description = "Denoising steps (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--scheduler",
      paramLabel = "CLASS",
      description =
          "diffusers class name, such as EulerDiscreteScheduler (default: the model's own).")
  private String scheduler;

  @Option(
      names = "--guidance",
      paramLabel = "SCALE",
      description =
          "Classifier-free guidance scale; 1 turns it off (default: 2 for mini-emoji, else 7.5).")
  private Double guidance;

  @Option(
      names = "--negative-prompt",
      paramLabel = "TEXT",
      defaultValue = "",
      description = "What no image should show.")
  private String negativePrompt;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "1",
      description =
          "Seed of the first image; each further one takes the next (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--size",
      paramLabel = "WIDTHxHEIGHT",
      converter = PictureSize.Converter.class,
      description = "In pixels, or one number for a square (default: the model's own).")
  private PictureSize size;

  @Option(
      names = "--count",
      paramLabel = "N",
      defaultValue = "1",
      description = "Images of each prompt (default: ${DEFAULT-VALUE}).")
  private int count;

  @Option(
      names = "--list-words",
      description = "Print the words that the model knows, and do nothing else.")
  private boolean listWords;

  @Option(
      names = "--no-job",
      description =
          "Start no job. One that is already running answers, such as that of examples/cluster."
              + " Needs --bootstrap-servers.")
  private boolean noJob;

  @Option(
      names = "--topic-prefix",
      paramLabel = "PREFIX",
      defaultValue = "demo-",
      description =
          "The topics are PREFIXprompts, PREFIXimages, PREFIXfailures and PREFIXprogress (default:"
              + " ${DEFAULT-VALUE}).")
  private String topicPrefix;

  private TextToImageDemo() {}

  public static void main(String[] args) {
    // Flink and Kafka leave threads behind that would keep the process alive.
    System.exit(run(args));
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new TextToImageDemo(), args);
  }

  @Override
  public Integer call() throws Exception {
    Optional<ModelWords> words = ModelWords.of(model);
    if (listWords) {
      System.out.print(
          words
              .orElseThrow(
                  () ->
                      new DemoException(
                          "Model %s does not say which words it knows: its folder has no %s."
                              .formatted(model, ModelWords.FILE)))
              .text());
      return 0;
    }
    OutputFolder folder = OutputFolder.prepare(options.out());
    DemoCommand.logTo(options.out().resolve(OutputFolder.LOG));
    List<PromptEvent> requests = requests();
    ModelFolder modelFolder = ModelFolder.open(model);
    nameUnknownWords(modelFolder.name(), words, requests);
    DeviceSpec where = Engines.standard().device(options.device());
    System.err.printf(
        Locale.ROOT,
        "%d images with %s on %s; %s%n",
        requests.size(),
        modelFolder.name(),
        where,
        !options.hasKafka()
            ? "starting Kafka and Flink"
            : noJob ? "waiting for the job's answers" : "starting Flink");
    long begin = System.nanoTime();
    DemoRun.Results results = options.onKafka(servers -> make(servers, requests));
    Duration total = Duration.ofNanos(System.nanoTime() - begin);
    Summary summary =
        new Report(folder, modelFolder.name(), words, where.toString(), options.parallelism())
            .write(requests, results, total);
    System.out.print(summary.text());
    System.out.println("Results are in " + options.out());
    if (!summary.failures().isEmpty()) {
      throw new DemoException(
          "%d of %d prompts failed; the first: %s"
              .formatted(
                  summary.failures().size(),
                  summary.prompts(),
                  summary.failures().get(0).message()));
    }
    return 0;
  }

  /** Before anything is drawn: what comes will not show them. */
  private static void nameUnknownWords(
      String model, Optional<ModelWords> words, List<PromptEvent> requests) {
    words.ifPresent(
        known ->
            requests.stream()
                .map(request -> request.getPrompt())
                .distinct()
                .filter(prompt -> !known.unknown(prompt).isEmpty())
                .forEach(
                    prompt ->
                        System.err.printf(
                            "%s does not know %s of \"%s\"%n",
                            model, String.join(", ", known.unknown(prompt)), prompt)));
  }

  private List<PromptEvent> requests() {
    if (file != null && !arguments.isEmpty()) {
      throw new DemoException("Give prompts as arguments or with --prompts, not both.");
    }
    if (scheduler != null && !Schedulers.supported().contains(scheduler)) {
      throw new DemoException(
          "There is no scheduler '%s'; --scheduler takes one of %s."
              .formatted(scheduler, String.join(", ", Schedulers.supported())));
    }
    if (noJob && !options.hasKafka()) {
      throw new DemoException(
          "--no-job needs --bootstrap-servers: the Kafka that the job reads from and writes to.");
    }
    atLeastOne("--count", count);
    atLeastOne("--steps", steps);
    List<String> prompts =
        file != null ? Prompts.read(file) : arguments.isEmpty() ? Prompts.builtIn() : arguments;
    // A broker of one's own remembers earlier runs.
    String run = UUID.randomUUID().toString().substring(0, 8);
    List<PromptEvent> requests = new ArrayList<>();
    for (String prompt : prompts) {
      for (int i = 0; i < count; i++) {
        requests.add(request(run, requests.size(), prompt));
      }
    }
    return requests;
  }

  private static void atLeastOne(String option, int value) {
    if (value < 1) {
      throw new DemoException("%s is %d; it must be at least 1.".formatted(option, value));
    }
  }

  private DemoRun.Results make(String servers, List<PromptEvent> requests) throws Exception {
    Configuration settings = new Configuration();
    settings.set(DiffusionOptions.MODEL_FOLDER, model.toAbsolutePath().toString());
    settings.set(DiffusionOptions.DEVICE, options.device());
    settings.set(DiffusionOptions.PROGRESS_EVERY_STEPS, 1);
    return new DemoRun(
            servers,
            Topics.withPrefix(topicPrefix),
            noJob ? null : settings,
            options.parallelism(),
            (env, topics, start) -> TextToImageJob.create().startingAt(start).define(env, topics))
        .make(
            requests.stream()
                .map(
                    request ->
                        new DemoRun.Request(request.getId(), EventCodec.prompts().encode(request)))
                .toList());
  }

  private PromptEvent request(String run, int number, String prompt) {
    PromptEvent.Builder request =
        PromptEvent.newBuilder()
            .setId(String.format(Locale.ROOT, "%s-%03d", run, number + 1))
            .setPrompt(prompt)
            .setNegativePrompt(negativePrompt)
            .setSeed(seed + number)
            .setSteps(steps)
            .setGuidanceScale(guidanceScale())
            .setScheduler(scheduler);
    if (size != null) {
      request.setWidth(size.width()).setHeight(size.height());
    }
    if (Prompts.isHeldOut(prompt) && isMiniEmoji()) {
      request.setAttributes(Map.of(Report.NOTE, "unseen"));
    }
    return request.build();
  }

  /** A small model's pictures are oversaturated by a scale that suits Stable Diffusion. */
  private double guidanceScale() {
    if (guidance != null) {
      return guidance;
    }
    return isMiniEmoji() ? MINI_EMOJI_GUIDANCE : STABLE_DIFFUSION_GUIDANCE;
  }

  private boolean isMiniEmoji() {
    return ModelFolder.name(model).equals(MINI_EMOJI);
  }
}
