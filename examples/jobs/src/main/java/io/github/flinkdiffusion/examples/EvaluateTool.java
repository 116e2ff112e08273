/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.kafka.JobFormats;
import io.github.flinkdiffusion.examples.detection.BoxReport;
import io.github.flinkdiffusion.examples.evaluation.BiasReport;
import io.github.flinkdiffusion.examples.evaluation.MatrixReport;
import io.github.flinkdiffusion.examples.evaluation.VoteStudy;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.apache.flink.configuration.Configuration;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Reports on what a model draws. docs/EVALUATE.md explains the plans. */
@Command(
    name = "examples/evaluate",
    sortOptions = false,
    usageHelpAutoWidth = true,
    subcommands = {
      EvaluateTool.Bias.class,
      EvaluateTool.Matrix.class,
      EvaluateTool.Votes.class,
      EvaluateTool.Boxes.class
    },
    description = {"Report on what a model draws, with images and measures.", ""})
public final class EvaluateTool implements Callable<Integer> {
  @Mixin private HelpOption help;

  private EvaluateTool() {}

  public static void main(String[] args) {
    DemoCommand.main(new EvaluateTool(), args);
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new EvaluateTool(), args);
  }

  @Override
  public Integer call() {
    throw new DemoException(
        "Missing subcommand: expected bias, matrix, votes or boxes. --help explains them.");
  }

  /** Makes a report of a plan and of the drawings that images are compared with. */
  private interface Reporter {
    Written of(Path config, Optional<Path> drawings) throws Exception;
  }

  /** A report that is to be written. */
  private interface Written {
    void to(Path folder) throws Exception;
  }

  /** What a report takes. */
  private static final class Plan {
    @Mixin private HelpOption help;

    @Option(
        names = "--config",
        required = true,
        paramLabel = "FILE",
        description = "The plan, a YAML file; docs/EVALUATE.md lists its keys.")
    private Path config;

    @Option(
        names = "--out",
        required = true,
        paramLabel = "FOLDER",
        description = "Folder of the report; it must be empty or not exist.")
    private Path out;

    @Option(
        names = "--drawings",
        paramLabel = "FOLDER",
        description =
            "Folder img/google/64 of the unpacked npm package emoji-datasource-google, with which"
                + " images of mini-emoji are compared.")
    private Path drawings;

    /** Writes the report that somebody makes of the plan. */
    int write(Reporter reporter) throws Exception {
      OutputFolder.check(out);
      Written report = reporter.of(config, Optional.ofNullable(drawings));
      Path folder = OutputFolder.create(out).path();
      report.to(folder);
      System.out.println("Written to " + folder.resolve("README.md"));
      return 0;
    }
  }

  /** How attributes are spread that no prompt names. */
  @Command(
      name = "bias",
      sortOptions = false,
      description =
          "Draw prompt templates and report how attributes are spread that the prompts do not"
              + " name: entropy, total variation and KL to a reference, parity gap, drift.")
  static final class Bias implements Callable<Integer> {
    @Mixin private Plan plan;

    @Override
    public Integer call() throws Exception {
      return plan.write((config, drawings) -> BiasReport.of(config, drawings)::write);
    }
  }

  /** What it can draw. */
  @Command(
      name = "matrix",
      sortOptions = false,
      description =
          "Draw tasks sorted by skill, information flow and use case, ambiguous prompts and puns"
              + " too, and report what is right.")
  static final class Matrix implements Callable<Integer> {
    @Mixin private Plan plan;

    @Override
    public Integer call() throws Exception {
      return plan.write((config, drawings) -> MatrixReport.of(config, drawings)::write);
    }
  }

  /** How good the boxes are. */
  @Command(
      name = "boxes",
      sortOptions = false,
      description = {
        "Measure boxes that examples/detect found: average precision as COCO measures it (mAP,"
            + " AP50, AP75, of each class).",
        "Prints Markdown; the report has the boxes in COCO's format, for pycocotools, too."
      })
  static final class Boxes implements Callable<Integer> {
    @Mixin private HelpOption help;

    @Option(
        names = "--annotations",
        required = true,
        paramLabel = "FILE",
        description = "What is there: a COCO file of instances.")
    private Path annotations;

    @Option(
        names = "--found",
        required = true,
        paramLabel = "FOLDER",
        description = "The folder that examples/detect wrote, of images in the annotations.")
    private Path found;

    @Option(
        names = "--out",
        required = true,
        paramLabel = "FOLDER",
        description = "Folder of the report; it must be empty or not exist.")
    private Path out;

    @Override
    public Integer call() throws Exception {
      OutputFolder.check(out);
      BoxReport report = BoxReport.of(annotations, found);
      report.write(OutputFolder.create(out).path());
      System.out.print(report.text(report.precision()));
      return 0;
    }
  }

  /** What people found better. */
  @Command(
      name = "votes",
      sortOptions = false,
      description = {
        "Analyze the votes of examples/gallery: win rates, strengths by Bradley and Terry with"
            + " intervals, agreement of the voters (Krippendorff's alpha), and how often models"
            + " are taken for real. Prints Markdown.",
        "Reads all votes that the topic has now, as Avro or JSON."
      })
  static final class Votes implements Callable<Integer> {
    @Mixin private HelpOption help;

    @ArgGroup(multiplicity = "1")
    private Where where;

    /** Votes are in Kafka or in a file. */
    static final class Where {
      @Option(
          names = "--bootstrap-servers",
          paramLabel = "HOST:PORT",
          description = "Where Kafka is.")
      private String servers;

      @Option(
          names = "--file",
          paramLabel = "FILE",
          description = "A file with a vote as JSON in each line, instead of Kafka.")
      private Path file;
    }

    @Option(
        names = "--topic",
        paramLabel = "TOPIC",
        defaultValue = "gallery-votes",
        description = "Topic of votes (default: ${DEFAULT-VALUE}).")
    private String topic;

    @Option(
        names = "-D",
        paramLabel = "KEY=VALUE",
        description =
            "How the topic is written, where it is neither Avro nor JSON, such as"
                + " -Ddiffusion.kafka.sink.format=registry-avro; may be given several times.")
    private Map<String, String> jobOptions = new LinkedHashMap<>();

    @Option(
        names = "--kafka-property",
        paramLabel = "KEY=VALUE",
        description = "A property of the Kafka client, such as security.protocol=SSL.")
    private Map<String, String> kafkaProperties = new LinkedHashMap<>();

    @Override
    public Integer call() {
      VoteReader reader =
          new VoteReader(
              jobOptions.isEmpty() ? null : JobFormats.results(Configuration.fromMap(jobOptions)));
      VoteStudy study = new VoteStudy();
      if (where.file != null) {
        reader.readLines(where.file, study::add);
      } else {
        Map<String, String> client = new LinkedHashMap<>(kafkaProperties);
        client.put("bootstrap.servers", where.servers);
        reader.readTopic(client, topic, study::add);
      }
      System.out.print(study.text());
      if (reader.unreadable() > 0) {
        System.err.println(reader.unreadable() + " records are no votes.");
      }
      return 0;
    }
  }
}
