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
import io.github.flinkdiffusion.ops.pipeline.Suggestion;
import io.github.flinkdiffusion.ops.scheduler.Schedulers;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.KnownOptions;
import io.github.flinkdiffusion.ops.serving.ModelList;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import org.apache.flink.configuration.Configuration;
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
      "Starts a Kafka broker and a Flink cluster in this process. Without prompts, it draws those"
          + " that the model's vocabulary.json lists: 16 for an embedded model.",
      ""
    })
public final class TextToImageDemo implements Callable<Integer> {

  /** Options that say how a job's topics are read and written, and where large images are. */
  private static final List<String> OF_TOPICS = List.of("diffusion.kafka.", "diffusion.payload.");

  /** Parameters that say how many steps there are. */
  private static final Set<String> PLANS = Set.of("timesteps", "sigmas");

  /** diffusers' default. */
  private static final double STABLE_DIFFUSION_GUIDANCE = 7.5;

  @Mixin private DemoOptions options;

  @Mixin private PromptModel model;

  @Parameters(
      paramLabel = "PROMPT",
      description = "Prompts, each in quotes: a text, or a JSON object as in --prompts.")
  private List<String> arguments = new ArrayList<>();

  @Option(
      names = "--prompts",
      paramLabel = "FILE",
      description =
          "Read prompts from a text file, or from standard input if it is '-': one prompt on each"
              + " line. A line may also be a JSON object, whose fields win over the options, such"
              + " as {\"prompt\": \"a heart\", \"seed\": 7, \"width\": 64, \"height\": 64,"
              + " \"negativePrompt\": \"stars\", \"parameters\": {\"model\": \"emoji\"}} (all"
              + " fields: docs/schemas/PromptEvent.schema.json; models: -Ddiffusion.models).")
  private Path file;

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
          "Classifier-free guidance scale; 1 turns it off (default: what the model's"
              + " vocabulary.json says, else 7.5).")
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
              + " Needs --bootstrap-servers. If its topics are not Avro, add the formats it was"
              + " started with, such as -Ddiffusion.kafka.source.format=json"
              + " -Ddiffusion.kafka.sink.format=json.")
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
    DemoCommand.main(new TextToImageDemo(), args);
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new TextToImageDemo(), args);
  }

  @Override
  public Integer call() throws Exception {
    if (listWords) {
      System.out.print(
          model
              .words()
              .orElseThrow(
                  () ->
                      new DemoException(
                          "Model %s does not say which words it knows: its folder has no %s."
                              .formatted(model.folder(), ModelWords.FILE)))
              .text());
      return 0;
    }
    // Everything that can be wrong is found before anything is started or written.
    checkNumbers();
    List<AskedPrompt> prompts = prompts();
    int parallelism = options.parallelism();
    Configuration settings = settings();
    PromptNotes notes = new PromptNotes(models(settings));
    List<PromptEvent> requests = requests(prompts, notes);
    String where = check(settings, prompts, requests);
    EventWriter<PromptEvent> writer =
        JobFormats.requests(settings)
            .writer(PromptEvent.class, Topics.withPrefix(topicPrefix).requests());
    JobFormats.results(settings);
    PayloadStore payloads = new PayloadStore(PayloadSettings.of(settings));
    OutputFolder.check(options.out());

    nameUnknownWords(notes, requests);
    OutputFolder folder = OutputFolder.create(options.out());
    DemoCommand.logTo(folder.path().resolve(OutputFolder.LOG));
    System.err.printf(
        Locale.ROOT,
        "%s%s; %s%n",
        Count.of(requests.size(), "image"),
        noJob ? "" : " with %s on %s".formatted(model.name(), where),
        !options.hasKafka()
            ? "starting Kafka and Flink"
            : noJob ? "waiting for the job's answers" : "starting Flink");
    long begin = System.nanoTime();
    DemoRun.Results results =
        options.draw(
            Topics.withPrefix(topicPrefix),
            settings,
            !noJob,
            parallelism,
            requests.stream()
                .map(request -> new DemoRun.Request(request.getId(), writer.write(request)))
                .toList());
    Duration total = Duration.ofNanos(System.nanoTime() - begin);
    Report report =
        noJob
            ? Report.ofAnotherJob(folder, notes, payloads)
            : Report.ofOwnJob(folder, notes, payloads, model.name(), where, parallelism);
    Summary summary = report.write(requests, results, total);
    System.out.print(summary.text());
    System.out.println("Results are in " + folder.path());
    if (!summary.failures().isEmpty()) {
      throw new DemoException(
          "%s failed; the reasons are in %s."
              .formatted(
                  Count.of(summary.failures().size(), summary.prompts(), "prompt"),
                  folder.path().resolve(OutputFolder.SUMMARY_TEXT)));
    }
    return 0;
  }

  /** Before anything is drawn: what comes will not show them. */
  private static void nameUnknownWords(PromptNotes notes, List<PromptEvent> requests) {
    requests.stream()
        .flatMap(request -> notes.lines(request).stream())
        .distinct()
        .forEach(System.err::println);
  }

  private List<AskedPrompt> prompts() {
    if (file != null && !arguments.isEmpty()) {
      throw new DemoException("Give prompts as arguments or with --prompts, not both.");
    }
    if (file != null) {
      return AskedPrompt.ofFile(file);
    }
    List<String> texts = arguments.isEmpty() ? ownPrompts() : arguments;
    return IntStream.range(0, texts.size())
        .mapToObj(i -> AskedPrompt.of(texts.get(i), "Prompt " + (i + 1)))
        .toList();
  }

  private List<String> ownPrompts() {
    List<String> prompts = model.words().map(ModelWords::prompts).orElse(List.of());
    if (prompts.isEmpty()) {
      throw new DemoException(
          "Say what to draw: model %s has no prompts of its own in a %s."
              .formatted(model.folder(), ModelWords.FILE));
    }
    return prompts;
  }

  private void checkNumbers() {
    if (scheduler != null && !Schedulers.supported().contains(scheduler)) {
      throw new DemoException(
          "There is no scheduler '%s'%s; --scheduler takes one of %s."
              .formatted(
                  scheduler,
                  Suggestion.of(scheduler, Schedulers.supported()),
                  String.join(", ", Schedulers.supported())));
    }
    if (noJob && !options.hasKafka()) {
      throw new DemoException(
          "--no-job needs --bootstrap-servers: the Kafka that the job reads from and writes to.");
    }
    atLeastOne("--count", count);
    atLeastOne("--steps", steps);
  }

  private static void atLeastOne(String option, int value) {
    if (value < 1) {
      throw new DemoException("%s is %d; it must be at least 1.".formatted(option, value));
    }
  }

  private Configuration settings() {
    Configuration settings = new Configuration();
    if (noJob) {
      options.keys().stream()
          .filter(key -> OF_TOPICS.stream().noneMatch(key::startsWith))
          .findFirst()
          .ifPresent(
              key -> {
                throw new DemoException(
                    "-D%s sets an option of the job, and --no-job starts none. Only options that begin with %s are read."
                        .formatted(key, String.join(" or ", OF_TOPICS)));
              });
    } else {
      model.addTo(settings, options.device());
    }
    options.addTo(settings);
    KnownOptions.refuseUnreadable(settings);
    return settings;
  }

  /** The models of this job that are on this machine, by the names that requests give them. */
  private Map<String, Path> models(Configuration settings) {
    Map<String, Path> folders = new LinkedHashMap<>();
    folders.put(ModelList.DEFAULT, model.folder());
    for (String entry : settings.getOptional(DiffusionOptions.MODELS).orElse(List.of())) {
      int at = entry.indexOf('=');
      String folder = entry.substring(at + 1).strip();
      // The others are at an address, and their words are not known before they are copied.
      if (at > 0 && !folder.contains("://")) {
        folders.put(entry.substring(0, at).strip(), Path.of(folder));
      }
    }
    return folders;
  }

  /**
   * Asks the models whether they accept the requests, without loading them.
   *
   * @return the device that the job will use
   */
  private String check(
      Configuration settings, List<AskedPrompt> prompts, List<PromptEvent> requests) {
    if (noJob) {
      return "";
    }
    PromptCheck check = PromptCheck.of(settings);
    for (int i = 0; i < requests.size(); i++) {
      try {
        check.require(requests.get(i));
      } catch (InvalidRequestException e) {
        throw prompts.get(i / count).refused(e);
      }
    }
    return Engines.standard().device(options.device()).toString();
  }

  private List<PromptEvent> requests(List<AskedPrompt> prompts, PromptNotes notes) {
    // A broker of one's own remembers earlier runs.
    String run = UUID.randomUUID().toString().substring(0, 8);
    List<PromptEvent> requests = new ArrayList<>();
    Map<String, String> ids = new HashMap<>();
    for (AskedPrompt prompt : prompts) {
      for (int i = 0; i < count; i++) {
        PromptEvent request = request(run, requests.size(), i, prompt, notes);
        String other = ids.put(request.getId(), prompt.where());
        if (other != null) {
          throw new DemoException(
              "%s has the id '%s', as %s has; each request needs an id of its own, or none."
                  .formatted(prompt.where(), request.getId(), other));
        }
        requests.add(request);
      }
    }
    return requests;
  }

  /** What the prompt says itself, and the command's options for the rest. */
  private PromptEvent request(
      String run, int number, int copy, AskedPrompt prompt, PromptNotes notes) {
    PromptEvent asked = prompt.event();
    PromptEvent.Builder request = PromptEvent.newBuilder(asked);
    if (asked.getId().isEmpty()) {
      request.setId(String.format(Locale.ROOT, "%s-%03d", run, number + 1));
    } else if (count > 1) {
      request.setId(asked.getId() + "-" + (copy + 1));
    }
    if (!prompt.negativePromptGiven()) {
      request.setNegativePrompt(negativePrompt);
    }
    request.setSeed(asked.getSeed() == null ? seed + number : asked.getSeed() + copy);
    boolean planned = PLANS.stream().anyMatch(asked.getParameters()::containsKey);
    if (asked.getSteps() == null && !planned) {
      request.setSteps(steps);
    }
    if (asked.getGuidanceScale() == null) {
      request.setGuidanceScale(guidanceScale(asked, notes));
    }
    if (asked.getScheduler() == null) {
      request.setScheduler(scheduler);
    }
    if (size != null && asked.getWidth() == null && asked.getHeight() == null) {
      request.setWidth(size.width()).setHeight(size.height());
    }
    return request.build();
  }

  /** A small model's pictures are oversaturated by a scale that suits Stable Diffusion. */
  private double guidanceScale(PromptEvent prompt, PromptNotes notes) {
    if (guidance != null) {
      return guidance;
    }
    return notes.guidance(prompt).orElse(STABLE_DIFFUSION_GUIDANCE);
  }
}
