/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.format.EventWriter;
import io.github.flinkdiffusion.connector.kafka.JobFormats;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.FileSlices;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageKind;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SlicePlane;
import io.github.flinkdiffusion.ops.operator.ImageTaskCheck;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import io.github.flinkdiffusion.ops.serving.SeriesOptions;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/**
 * Image files through Kafka and Flink to results on disk, in one command that ends by itself. The
 * commands differ in the model and in what is shown of a result.
 */
abstract class ImageDemo implements Callable<Integer> {
  private static final int MOST_SLICES = 1000;
  private static final int DEFAULT_STEPS = 4;
  private static final Duration SERIES_TIMEOUT = Duration.ofSeconds(5);
  private static final Pattern RANGE = Pattern.compile("(\\d{1,6})(?:-(\\d{1,6}))?");

  @Mixin private DemoOptions options;

  @Parameters(
      paramLabel = "FILE",
      description =
          "Images: PNG, JPEG, TIFF, GeoTIFF, DICOM, NIfTI. Of a folder, all files in it (default:"
              + " the model's example inputs).")
  private List<Path> files = new ArrayList<>();

  @Option(
      names = "--model",
      paramLabel = "MODEL",
      converter = ModelPath.class,
      description =
          "Model folder in diffusers' layout, or hf://owner/name (default: the embedded model).")
  private Path model;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description = "Denoising steps (default: as the model's domain.json says, otherwise 4).")
  private Integer steps;

  @Option(
      names = "--samples",
      paramLabel = "N",
      description =
          "Samples of each image. Their mean is the result, their spread the uncertainty (default:"
              + " as the model's domain.json says, otherwise 2 to enlarge, 4 to segment).")
  private Integer samples;

  @Option(
      names = "--tile",
      paramLabel = "PIXELS",
      description = "Side of the tiles that larger images are cut into (default: the model's).")
  private Integer tile;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "1",
      description = "Seed of the first sample (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--value-range",
      paramLabel = "LOW..HIGH",
      description = "Values that are black and white for the model (default: as the files say).")
  private String valueRange;

  @Option(
      names = "--slices",
      paramLabel = "FIRST-LAST",
      defaultValue = "all",
      description =
          "Frames of DICOM files or slices of NIfTI volumes, counted from 0. Each becomes an image"
              + " of its own (default: ${DEFAULT-VALUE}).")
  private String slices;

  @Option(
      names = "--series",
      description =
          "The files are slices of DICOM series. Each series has one result, a NIfTI volume, or"
              + " with -Ddiffusion.image.format=DICOM one DICOM SEG. Series with gaps fail.")
  private boolean series;

  @Option(
      names = "--bands",
      paramLabel = "N;N;N",
      description = "Bands of the files that the model sees, counted from 1.")
  private String bands;

  @Option(
      names = "--parameter",
      paramLabel = "NAME=VALUE",
      description =
          "Parameter of each request, such as window=0,0,512,512, bounds=WEST,SOUTH,EAST,NORTH or"
              + " plane=coronal; docs/SATELLITE.md and docs/MEDICAL.md list them. May be given"
              + " several times.")
  private Map<String, String> parameters = new TreeMap<>();

  @Option(
      names = "--topic-prefix",
      paramLabel = "PREFIX",
      defaultValue = "images-",
      description =
          "The topics are PREFIXimage-tasks, PREFIXimages, PREFIXfailures and PREFIXprogress"
              + " (default: ${DEFAULT-VALUE}).")
  private String topicPrefix;

  private final String embeddedModel;
  private final String inputPattern;
  private final int defaultSamples;

  /**
   * @param embeddedModel name below examples/models
   * @param inputPattern of the file names of its example inputs
   */
  ImageDemo(String embeddedModel, String inputPattern, int defaultSamples) {
    this.embeddedModel = embeddedModel;
    this.inputPattern = inputPattern;
    this.defaultSamples = defaultSamples;
  }

  /** What the contact sheet shows of each result. */
  abstract ReportSheet.Kind sheet();

  /**
   * Refuses a model that does something else than this command shows.
   *
   * @throws DemoException naming the model, its class and what would be accepted
   */
  void requireTask(ModelFolder folder) {}

  @Override
  public Integer call() throws Exception {
    // Everything that can be wrong is found before anything is started or written.
    if (steps != null) {
      atLeastOne("--steps", steps);
    }
    if (samples != null) {
      atLeastOne("--samples", samples);
    }
    int parallelism = options.parallelism();
    Path modelPath =
        model == null ? home().resolve("examples/models").resolve(embeddedModel) : model;
    ModelFolder modelFolder = ModelFolder.open(modelPath);
    requireTask(modelFolder);
    Optional<ModelDomain> domain = ModelDomain.of(modelFolder.path());
    if (steps == null) {
      steps = domain.flatMap(said -> boxed(said.steps())).orElse(DEFAULT_STEPS);
    }
    if (samples == null) {
      samples = domain.flatMap(said -> boxed(said.samples())).orElse(defaultSamples);
    }
    DeviceSpec where = Engines.standard().device(options.device());
    Configuration settings = settings(modelPath);
    check(settings);
    List<Path> chosen = chosen(modelPath);
    List<SeriesFolder.Member> gathered = series ? SeriesFolder.series(chosen) : List.of();
    List<ImageReport.Input> inputs = inputs(chosen);
    EventWriter<ImageTaskEvent> writer =
        JobFormats.requests(settings)
            .writer(ImageTaskEvent.class, Topics.ofImageTasks(topicPrefix).requests());
    JobFormats.results(settings);
    OutputFolder.check(options.out());

    OutputFolder folder = OutputFolder.create(options.out());
    DemoCommand.logTo(folder.path().resolve(OutputFolder.LOG));
    if (!settings.contains(PayloadOptions.STORE)) {
      Path store = Files.createDirectories(folder.path().resolve("payloads"));
      settings.set(PayloadOptions.STORE, store.toAbsolutePath().toUri().toString());
    }
    PayloadStore payloads = new PayloadStore(PayloadSettings.of(settings));
    PayloadStore sent = series ? byReference(settings) : payloads;
    List<DemoRun.Request> requests = new ArrayList<>();
    for (ImageReport.Input input : inputs) {
      String together =
          gathered.stream()
              .filter(member -> member.slices().contains(input.file()))
              .findFirst()
              .map(SeriesFolder.Member::uid)
              .orElse(input.id());
      ImageTaskEvent task =
          task(input.id(), sent.write(input.file(), ""))
              .setParameters(parameters(input.page()))
              .build();
      requests.add(new DemoRun.Request(task.getId(), task.getId(), writer.write(task), together));
    }
    System.err.printf(
        Locale.ROOT,
        "%s with %s on %s; starting %s%n",
        series
            ? "%s of %d series".formatted(Count.of(requests.size(), "file"), gathered.size())
            : Count.of(requests.size(), "image"),
        modelFolder.name(),
        where,
        options.hasKafka() ? "Flink" : "Kafka and Flink");
    long begin = System.nanoTime();
    DemoRun.Results results =
        options.onKafka(
            servers ->
                new DemoRun(
                        servers,
                        Topics.ofImageTasks(topicPrefix),
                        settings,
                        true,
                        parallelism,
                        (env, topics, start) -> {
                          if (series) {
                            SeriesJob.create().startingAt(start).define(env, topics);
                          } else {
                            ImageTaskJob.create().startingAt(start).define(env, topics);
                          }
                        })
                    .make(requests));
    if (series) {
      inputs = answered(inputs, gathered, results);
    }
    ImageReport report =
        new ImageReport(
            folder,
            sheet(),
            payloads,
            ShownImage.of(settings, parameters),
            "%s on %s, parallelism %d".formatted(modelFolder.name(), where, parallelism));
    System.out.print(report.write(inputs, results, Duration.ofNanos(System.nanoTime() - begin)));
    System.out.println("Results are in " + folder.path());
    if (!results.failures().isEmpty()) {
      throw new DemoException(
          "%s failed; the reasons are in %s."
              .formatted(
                  Count.of(results.failures().size(), inputs.size(), series ? "result" : "image"),
                  folder.path().resolve(OutputFolder.SUMMARY_TEXT)));
    }
    return 0;
  }

  /** Series, and files that failed by themselves: what has an answer of its own. */
  private static List<ImageReport.Input> answered(
      List<ImageReport.Input> files, List<SeriesFolder.Member> gathered, DemoRun.Results results) {
    Set<String> ids =
        Stream.concat(
                results.images().stream().map(ImageEvent::getId),
                results.failures().stream().map(FailureEvent::getId))
            .collect(Collectors.toSet());
    return Stream.concat(gathered.stream().map(ImageReport.Input::of), files.stream())
        .filter(input -> ids.contains(input.id()))
        .toList();
  }

  /** Slices of a series are references, however small they are. */
  private static PayloadStore byReference(Configuration settings) {
    return new PayloadStore(
        PayloadSettings.of(
            new Configuration(settings).set(PayloadOptions.INLINE_LIMIT, MemorySize.ZERO)));
  }

  /** Asks the model whether it accepts what the options say, without loading it. */
  private void check(Configuration settings) {
    try {
      ImageTaskCheck.of(settings)
          .require(
              task("options", Payloads.inline(new byte[0], "")).setParameters(parameters).build());
    } catch (InvalidRequestException e) {
      throw new DemoException(e.getMessage(), e);
    }
  }

  private Map<String, String> parameters(OptionalInt page) {
    Map<String, String> all = new TreeMap<>(parameters);
    page.ifPresent(number -> all.put("page", Integer.toString(number)));
    return all;
  }

  private ImageTaskEvent.Builder task(String id, Payload image) {
    return ImageTaskEvent.newBuilder()
        .setId(id)
        .setImage(image)
        .setSeed(seed)
        .setSteps(steps)
        .setEnsembleSize(samples);
  }

  private static Path home() {
    return Path.of(System.getProperty("flinkdiffusion.home", "."));
  }

  private static Optional<Integer> boxed(OptionalInt value) {
    return value.isPresent() ? Optional.of(value.getAsInt()) : Optional.empty();
  }

  private static void atLeastOne(String option, int value) {
    if (value < 1) {
      throw new DemoException("%s is %d; it must be at least 1.".formatted(option, value));
    }
  }

  private Configuration settings(Path modelPath) {
    Configuration settings = new Configuration();
    settings.set(DiffusionOptions.MODEL_FOLDER, modelPath.toAbsolutePath().toString());
    settings.set(DiffusionOptions.DEVICE, options.device());
    settings.set(DiffusionOptions.PROGRESS_EVERY_STEPS, 1);
    if (tile != null) {
      settings.set(ImageTaskOptions.TILE_SIZE, tile);
    }
    if (valueRange != null) {
      settings.set(ImageTaskOptions.VALUE_RANGE, valueRange);
    }
    if (bands != null) {
      settings.setString(ImageTaskOptions.BANDS.key(), bands);
    }
    if (series) {
      // All files are there before the job starts.
      settings.set(SeriesOptions.TIMEOUT, SERIES_TIMEOUT);
    }
    options.addTo(settings);
    return settings;
  }

  private List<Path> chosen(Path modelPath) throws IOException {
    List<Path> chosen = SeriesFolder.files(files);
    if (files.isEmpty()) {
      Path examples = modelPath.resolve("inputs");
      if (!Files.isDirectory(examples)) {
        throw new DemoException(
            "Give image files: the model folder " + modelPath + " has no inputs/ with examples.");
      }
      try (Stream<Path> listed = Files.list(examples)) {
        chosen =
            listed
                .filter(file -> file.getFileName().toString().matches(inputPattern))
                .sorted()
                .toList();
      }
    }
    return chosen;
  }

  private List<ImageReport.Input> inputs(List<Path> chosen) {
    // A broker of one's own remembers earlier runs.
    String run = UUID.randomUUID().toString().substring(0, 8);
    List<ImageReport.Input> inputs = new ArrayList<>();
    for (Path file : chosen) {
      if (!Files.isReadable(file)) {
        throw new DemoException("There is no file " + file + " that can be read.");
      }
      for (OptionalInt page : pages(file)) {
        // Failures of a series name its slices by their ids.
        String id =
            String.format(Locale.ROOT, "%s-%03d", run, inputs.size() + 1)
                + (series ? " " + file.getFileName() : "");
        inputs.add(new ImageReport.Input(id, file, page));
      }
    }
    requireAnImage(chosen);
    return inputs;
  }

  /**
   * One image among other files is enough: the job says what the others are.
   *
   * @throws DemoException when none of the files is an image, by its first bytes
   */
  private static void requireAnImage(List<Path> chosen) {
    String first = null;
    for (Path file : chosen) {
      try {
        FileSlices.of(file, ReadOptions.DEFAULT);
        return;
      } catch (ImageException e) {
        first = first == null ? "%s: %s".formatted(file, e.getMessage()) : first;
      }
    }
    throw new DemoException(
        "%s an image that can be read. %s. It may be %s."
            .formatted(
                chosen.size() == 1 ? "The file is not" : "None of the files is",
                first,
                Arrays.stream(ImageKind.values())
                    .map(ImageKind::mediaType)
                    .distinct()
                    .collect(Collectors.joining(", "))));
  }

  /** A plane that does not exist is refused with the first request. */
  private ReadOptions asSliced() {
    String plane = parameters.getOrDefault("plane", "");
    return Arrays.stream(SlicePlane.values())
        .filter(known -> known.name().equalsIgnoreCase(plane))
        .findFirst()
        .map(ReadOptions.DEFAULT::withPlane)
        .orElse(ReadOptions.DEFAULT);
  }

  /**
   * Of a file of one image, and of one that cannot be read: empty once; the job says what it is.
   */
  private List<OptionalInt> pages(Path file) {
    long count;
    try {
      count = FileSlices.of(file, asSliced()).count();
    } catch (ImageException e) {
      count = 1;
    }
    Matcher range = RANGE.matcher(slices);
    boolean all = slices.equals("all");
    if (!all && !range.matches()) {
      throw new DemoException(
          "Invalid value '%s' for --slices: expected a range such as 0-99, a number, or all"
              .formatted(slices));
    }
    if (count == 1 || series) {
      return List.of(OptionalInt.empty());
    }
    long first = all ? 0 : Long.parseLong(range.group(1));
    long last = all ? count - 1 : range.group(2) == null ? first : Long.parseLong(range.group(2));
    if (first > last || last >= count || last - first >= MOST_SLICES) {
      throw new DemoException(
          ("Invalid value '%s' for --slices: %s has %d slices, counted from 0, and one run takes at"
                  + " most %d. --slices 0-%d selects the first ones.")
              .formatted(slices, file, count, MOST_SLICES, Math.min(count, MOST_SLICES) - 1));
    }
    return LongStream.rangeClosed(first, last)
        .mapToObj(page -> OptionalInt.of((int) page))
        .toList();
  }
}
