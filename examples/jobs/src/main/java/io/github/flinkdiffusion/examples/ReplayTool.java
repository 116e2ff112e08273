/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.kafka.JobFormats;
import io.github.flinkdiffusion.ops.credentials.CredentialsException;
import io.github.flinkdiffusion.ops.credentials.CredentialsVerifier;
import io.github.flinkdiffusion.ops.credentials.Verdict;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.SoftwareVersion;
import io.github.flinkdiffusion.ops.operator.AuditRecords;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.KnownOptions;
import io.github.flinkdiffusion.ops.weights.Lora;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import picocli.CommandLine;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Makes a result again from the audit record in it, and compares.
 *
 * <p>Exit codes: 0 when the result made again is the same, 1 when something is wrong, with one line
 * on standard error that says what; 2 when the arguments are wrong; 3 when the result made again
 * differs; 4 when it was not made again because model or inputs are not those of the record.
 */
@Command(
    name = "examples/replay",
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Generate a result again and compare: is this image what its audit record says?",
      "",
      "A result is a PNG, TIFF, DICOM or NIfTI file that Flink Diffusion generated, or an event"
          + " with one. The record in it names the model, the inputs and all parameters. Model"
          + " folder and input files are checked against it by their SHA-256, then the request is"
          + " sent through the operator on a Flink cluster in this process. A request that shared"
          + " its network calls with others is rounded a little differently when it runs alone.",
      ""
    },
    footer = {
      "",
      "Verdicts and exit codes:",
      "  0  IDENTICAL: the files are the same, byte for byte",
      "  0  EQUAL: all pixels are; the files differ in texts or encoding",
      "  0  CLOSE: no value differs by more than --tolerance, as by another batch",
      "  1  something is wrong, such as a file without a record",
      "  2  the arguments are wrong",
      "  3  DIFFERENT: the result is not what its record says",
      "  4  NOT MADE AGAIN: model or inputs differ from the record"
    })
public final class ReplayTool implements Callable<Integer> {
  private static final int DIFFERENT = 3;
  private static final int NOT_MADE = 4;
  private static final int BATCH_ROWS = 8;

  @Mixin private HelpOption help;

  @ArgGroup(multiplicity = "1")
  private Where where;

  /** The result is in a file or in Kafka. */
  static final class Where {
    @CommandLine.Parameters(
        paramLabel = "RESULT",
        arity = "1",
        description =
            "A PNG, TIFF, DICOM or NIfTI file, or a file with an image event as it is in Kafka.")
    private Path file;

    @Option(
        names = "--record",
        paramLabel = "TOPIC/PARTITION/OFFSET",
        converter = KafkaResult.Converter.class,
        description =
            "Instead of a file: the image event at this place; needs --bootstrap-servers.")
    private KafkaResult record;
  }

  @Option(
      names = "--bootstrap-servers",
      paramLabel = "HOST:PORT",
      description = "Where Kafka is, for --record.")
  private String bootstrapServers;

  @Option(
      names = "-D",
      paramLabel = "KEY=VALUE",
      description =
          "How the topic of --record is written, by the options of the job that writes it, such as"
              + " -Ddiffusion.kafka.sink.format=json (default: avro); may be given several times.")
  private Map<String, String> jobOptions = new LinkedHashMap<>();

  @Option(
      names = "--payloads",
      paramLabel = "URI",
      description = "Folder that holds the images that an event names: its payload store.")
  private List<String> payloads = List.of();

  @Option(
      names = "--model",
      paramLabel = "MODEL",
      converter = ModelPath.class,
      description =
          "Folder, file or hf:// name of the model that the record names (default: the one in"
              + " examples/models of that name).")
  private Path model;

  @Option(
      names = "--configs",
      paramLabel = "FOLDER",
      converter = ModelPath.class,
      description = "Folder whose configs a single-file checkpoint was given.")
  private Path configs;

  @Option(
      names = "--lora",
      paramLabel = "FILE=SCALE",
      description = "A LoRA that the record names, in its order; may be given several times.")
  private Map<Path, Double> loras = new LinkedHashMap<>();

  @Option(
      names = "--allowed-lora",
      paramLabel = "NAME=FILE",
      description =
          "A LoRA that the request chose by this name, as in diffusion.loras.allowed; may be given"
              + " several times.")
  private Map<String, Path> allowedLoras = new LinkedHashMap<>();

  @Option(
      names = "--ip-adapter",
      paramLabel = "FILE",
      description =
          "An IP-Adapter that the record names, in its order; may be given several times.")
  private List<Path> ipAdapters = new ArrayList<>();

  @Option(
      names = "--image-encoder",
      paramLabel = "FOLDER",
      description = "The folder of diffusion.model.image-encoder, if the job had one.")
  private Path imageEncoder;

  @Option(
      names = "--image",
      paramLabel = "FILE",
      description = "The input image, if the record names one.")
  private Path image;

  @Option(names = "--mask", paramLabel = "FILE", description = "The mask, if the record names one.")
  private Path mask;

  @Option(
      names = "--input",
      paramLabel = "NAME=FILE",
      description =
          "Another image that the record names, such as controlImage=edges.png; may be given"
              + " several times.")
  private Map<String, Path> others = Map.of();

  @Option(
      names = "--text",
      paramLabel = "NAME=FILE",
      description =
          "A text that was too long for the record, such as prompt=story.txt; may be given several"
              + " times.")
  private Map<String, Path> texts = Map.of();

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      description = "auto, cpu or gpu:N (default: the kind that the record names).")
  private String device;

  @Option(
      names = "--watermark-key",
      paramLabel = "FILE",
      description =
          "Key file of the watermark, if the record has a watermark.payload. Without it, the result"
              + " is made without the mark, and differs.")
  private Path watermarkKey;

  @Option(
      names = "--tolerance",
      paramLabel = "SHARE",
      defaultValue = "0.004",
      description =
          "Largest difference of a value that counts as rounding, as a share of the range from"
              + " black to white (default: ${DEFAULT-VALUE}, one level of eight bits).")
  private double tolerance;

  @Option(
      names = "--anyway",
      description = "Generate the result again even if model or inputs differ from the record.")
  private boolean anyway;

  @Option(
      names = "--out",
      paramLabel = "FOLDER",
      description =
          "Folder for the result that is generated again, and for a contact sheet with both and"
              + " their difference.")
  private Path out;

  private ReplayTool() {}

  public static void main(String[] args) {
    DemoCommand.main(new ReplayTool(), args);
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new ReplayTool(), args);
  }

  @Override
  public Integer call() throws Exception {
    try (TemporaryFolder scratch = TemporaryFolder.create("flink-diffusion-replay")) {
      return replay(scratch.path());
    }
  }

  private int replay(Path scratch) throws Exception {
    RecordedResult result = result(scratch);
    Audit audit = result.audit().withOmittedTexts(texts());
    Map<String, Path> inputs = inputs(audit);
    DeviceSpec on = Engines.standard().device(device == null ? deviceOf(audit) : device);
    if (model == null) {
      model = ownModel(audit.model());
    }
    ModelFolder folder = modelFolder();

    ReplayReport report = new ReplayReport(result.name(), audit);
    boolean sameModel =
        report.check(
            "model",
            audit.model() + " " + ReplayReport.brief(audit.modelDigest()),
            folder.name() + " " + ReplayReport.brief(folder.digest()),
            audit.modelDigest().equals(folder.digest()));
    boolean sameInputs = true;
    for (Map.Entry<String, Path> input : inputs.entrySet()) {
      String recorded = audit.inputDigests().get(input.getKey());
      String here = FileDigest.sha256(input.getValue());
      sameInputs &=
          report.check(
              input.getKey(),
              ReplayReport.brief(recorded),
              ReplayReport.brief(here),
              recorded.equals(here));
    }
    report.check("software", audit.softwareVersion(), SoftwareVersion.CURRENT);
    report.check("device", recordedDevice(audit), on.isGpu() ? "gpu" : "cpu");
    System.out.print(report.head());
    System.out.print(credentials(result.picture()));
    if (!(sameModel && sameInputs) && !anyway) {
      System.out.println("NOT MADE AGAIN: " + whatIsOther(audit, sameModel));
      return NOT_MADE;
    }

    long begin = System.nanoTime();
    Configuration settings = settings(on);
    settings.set(DiffusionOptions.AUDIT_IN_IMAGES, result.inPicture());
    ReplayRun run = new ReplayRun(settings, scratch);
    ImageEvent remade = run.make(audit, inputs);
    Duration took = Duration.ofNanos(System.nanoTime() - begin);
    Path again = run.file(result.sameOf(remade));
    Comparison comparison = Comparison.of(result.picture(), again);
    System.out.print(
        ReplayReport.outcome(
            comparison, took, audit.differences(AuditRecords.audit(remade.getAudit()))));
    if (out != null) {
      write(result.picture(), again);
    }
    Comparison.Verdict verdict = comparison.verdict(tolerance);
    System.out.println(ReplayReport.verdict(verdict, tolerance));
    return verdict == Comparison.Verdict.DIFFERENT ? DIFFERENT : 0;
  }

  /** What the file's content credentials are worth, if it can hold some and does. */
  private static String credentials(Path picture) {
    try {
      Verdict verdict = new CredentialsVerifier().verify(picture);
      return verdict.state() == Verdict.State.NONE
          ? ""
          : "  content credentials: " + verdict + "\n";
    } catch (CredentialsException e) {
      return "  content credentials: none that can be read (" + e.getMessage() + ")\n";
    }
  }

  private Configuration settings(DeviceSpec on) {
    Configuration settings = new Configuration();
    settings.set(DiffusionOptions.MODEL_FOLDER, model.toAbsolutePath().toString());
    settings.set(DiffusionOptions.DEVICE, on.toString());
    // Measuring the device would take longer than the request.
    settings.set(DiffusionOptions.BATCH_ROWS, BATCH_ROWS);
    if (watermarkKey != null) {
      settings.set(DiffusionOptions.WATERMARK_KEY_FILE, watermarkKey.toAbsolutePath().toString());
    }
    if (configs != null) {
      settings.set(DiffusionOptions.MODEL_CONFIGS, configs.toAbsolutePath().toString());
    }
    if (!loras.isEmpty()) {
      settings.set(
          DiffusionOptions.MODEL_LORAS,
          loras.entrySet().stream()
              .map(lora -> lora.getKey().toAbsolutePath() + "=" + lora.getValue())
              .toList());
    }
    if (!allowedLoras.isEmpty()) {
      settings.set(
          DiffusionOptions.LORAS_ALLOWED,
          allowedLoras.entrySet().stream()
              .map(lora -> lora.getKey() + "=" + lora.getValue().toAbsolutePath())
              .toList());
    }
    if (!ipAdapters.isEmpty()) {
      settings.set(
          DiffusionOptions.MODEL_IP_ADAPTERS,
          ipAdapters.stream().map(file -> file.toAbsolutePath().toString()).toList());
    }
    if (imageEncoder != null) {
      settings.set(DiffusionOptions.MODEL_IMAGE_ENCODER, imageEncoder.toAbsolutePath().toString());
    }
    return settings;
  }

  private RecordedResult result(Path scratch) {
    if (where.record == null) {
      return RecordedResult.read(where.file, payloads, scratch);
    }
    if (bootstrapServers == null) {
      throw new DemoException("--record needs --bootstrap-servers: the Kafka that holds it.");
    }
    Configuration job = new Configuration();
    jobOptions.forEach(job::setString);
    KnownOptions.refuseUnreadable(job);
    FormatSettings format = JobFormats.results(job);
    return RecordedResult.of(
        where.record.toString(), where.record.read(bootstrapServers), format, payloads, scratch);
  }

  private Map<String, String> texts() {
    Map<String, String> read = new LinkedHashMap<>();
    texts.forEach(
        (name, file) -> {
          try {
            read.put(name, Files.readString(file));
          } catch (IOException e) {
            throw unreadable(file, e);
          }
        });
    return read;
  }

  /** The files given for the inputs that the record names, all of them and no others. */
  private Map<String, Path> inputs(Audit audit) {
    Map<String, Path> given = new LinkedHashMap<>(others);
    if (image != null) {
      given.put(Parameters.IMAGE.name(), image);
    }
    if (mask != null) {
      given.put(Parameters.MASK.name(), mask);
    }
    for (String needed : audit.inputDigests().keySet()) {
      if (!given.containsKey(needed)) {
        throw new DemoException(
            "The result was made from an input %s of SHA-256 %s; give the file with %s."
                .formatted(
                    needed,
                    audit.inputDigests().get(needed),
                    needed.equals(Parameters.IMAGE.name()) || needed.equals(Parameters.MASK.name())
                        ? "--" + needed
                        : "--input %s=FILE".formatted(needed)));
      }
    }
    for (String name : given.keySet()) {
      if (!audit.inputDigests().containsKey(name)) {
        throw new DemoException(
            "The result was not made from an input %s; its record names %s."
                .formatted(
                    name,
                    audit.inputDigests().isEmpty()
                        ? "none"
                        : String.join(", ", audit.inputDigests().keySet())));
      }
    }
    return given;
  }

  /** The folder of a model that comes with the project. */
  private static Path ownModel(String name) {
    Path ownModels = Path.of(System.getProperty("flinkdiffusion.home", "."), "examples/models");
    try (Stream<Path> folders = Files.list(ownModels)) {
      return folders
          .filter(folder -> folder.getFileName().toString().equals(name))
          .findFirst()
          .orElseThrow(
              () ->
                  new DemoException(
                      ("The result was generated by the model %s, which is not in %s; name its"
                              + " folder with --model.")
                          .formatted(name, ownModels)));
    } catch (IOException e) {
      throw unreadable(ownModels, e);
    }
  }

  private static String deviceOf(Audit audit) {
    return recordedDevice(audit).equals("cpu") ? "cpu" : "auto";
  }

  private static String recordedDevice(Audit audit) {
    return audit.loadedAs().getOrDefault("device", "cpu");
  }

  private ModelFolder modelFolder() {
    ModelFolder folder =
        configs == null ? ModelFolder.open(model) : ModelFolder.openSingleFile(model, configs);
    List<Lora> merged = new ArrayList<>();
    loras.forEach((file, scale) -> merged.add(new Lora(file, scale)));
    return folder.withLoras(merged);
  }

  private String whatIsOther(Audit audit, boolean sameModel) {
    if (sameModel) {
      return "an input differs from the one that the result was made from; --anyway continues with"
          + " it.";
    }
    String recordedLoras = audit.loadedAs().get("loras");
    if (recordedLoras != null && loras.isEmpty()) {
      return "the model had LoRAs, "
          + recordedLoras
          + "; add them with --lora, or continue without them with --anyway.";
    }
    return "the folder holds another model than the one that generated the result. Name its folder"
        + " with --model, or continue with this one with --anyway.";
  }

  private void write(Path result, Path again) throws IOException {
    byte[] file = Files.readAllBytes(again);
    String kind = Images.mediaType(file).orElse("").equals("image/tiff") ? ".tif" : ".png";
    OutputFolder folder = OutputFolder.existing(out);
    folder.write("replayed" + kind, file);
    folder.write(OutputFolder.CONTACT_SHEET, Comparison.sheet(result, again));
    System.out.printf("  %-18s  %s%n%n", "images in", out);
  }

  private static DemoException unreadable(Path file, IOException e) {
    return new DemoException("Cannot read %s: %s".formatted(file, e), e);
  }
}
