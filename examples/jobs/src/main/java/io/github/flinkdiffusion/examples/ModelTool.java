/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.embedded.LocalHub;
import io.github.flinkdiffusion.ops.hub.HubName;
import io.github.flinkdiffusion.ops.hub.HubWants;
import io.github.flinkdiffusion.ops.pipeline.ModelQuantizer;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.QuantizedWeights.Kind;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/**
 * Looks at models before a job uses them.
 *
 * <p>Exit codes: 0 when it is done and the model is supported, 1 when something is wrong, with one
 * line on standard error that says what; 2 when the arguments are wrong; 3 when the model is not
 * supported.
 */
@Command(
    name = "examples/model",
    sortOptions = false,
    usageHelpAutoWidth = true,
    subcommands = {
      ModelTool.Inspect.class,
      ModelTool.Download.class,
      ModelTool.Check.class,
      ModelTool.Quantize.class,
      ModelTool.Serve.class
    },
    description = {
      "Inspect, download, check, quantize or serve a model: a folder in diffusers' layout, a"
          + " .safetensors file, or a name on Hugging Face's hub"
          + " (hf://owner/name[@revision][/file.safetensors]).",
      "HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE mean what they mean to"
          + " Python's huggingface_hub.",
      ""
    })
public final class ModelTool implements Callable<Integer> {
  private static final int NOT_SUPPORTED = 3;

  @Mixin private HelpOption help;

  private ModelTool() {}

  public static void main(String[] args) {
    DemoCommand.main(new ModelTool(), args);
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new ModelTool(), args);
  }

  @Override
  public Integer call() {
    throw new DemoException(
        "Missing subcommand: expected inspect, download, check, quantize or serve. --help explains"
            + " them.");
  }

  /** The model that a subcommand is about. */
  private static final class Subject {
    @Mixin private HelpOption help;

    @Parameters(
        index = "0",
        paramLabel = "MODEL",
        description = "Folder, .safetensors file, or hf:// name.")
    private String model;

    @Option(
        names = "--variant",
        paramLabel = "NAME",
        description = "Variant of the weights to prefer, such as fp16.")
    private String variant;

    HubWants wants(boolean weights) {
      return new HubWants(Optional.ofNullable(variant), weights, Set.of());
    }

    /** Weights are downloaded last: a model that is not supported needs none. */
    Optional<ModelReport> report() {
      if (HubName.isOne(model) && !HubName.parse(model).isFile()) {
        // No variant: ModelFolder looks for its weights, and there are none yet.
        ModelFolder configs = ModelFolder.open(ModelPath.of(model, HubWants.CONFIGS));
        if (!ModelReport.isSupported(configs)) {
          new ModelReport(configs).printNotSupported();
          return Optional.empty();
        }
      }
      return Optional.of(new ModelReport(open()));
    }

    Path path() {
      return ModelPath.of(model, wants(true));
    }

    ModelFolder open() {
      Path path = path();
      if (!Files.exists(path)) {
        throw new DemoException("There is no model at %s.".formatted(path));
      }
      return ModelFolder.open(path, Optional.ofNullable(variant));
    }
  }

  /** What a model is. */
  @Command(
      name = "inspect",
      sortOptions = false,
      description = "Print what a model is and whether it is supported.")
  static final class Inspect implements Callable<Integer> {
    @Mixin private Subject subject;

    @Override
    public Integer call() {
      Optional<ModelReport> report = subject.report();
      if (report.isEmpty()) {
        return NOT_SUPPORTED;
      }
      return report.get().print() ? 0 : NOT_SUPPORTED;
    }
  }

  /** Before a cluster needs it, or for a machine without network. */
  @Command(
      name = "download",
      sortOptions = false,
      description = "Download the files of a model that a job needs, and print their folder.")
  static final class Download implements Callable<Integer> {
    @Mixin private Subject subject;

    @Override
    public Integer call() {
      System.out.println(subject.path());
      return 0;
    }
  }

  /** What it costs here. */
  @Command(
      name = "check",
      sortOptions = false,
      description = "Load a model, and measure memory and time of one request on this machine.")
  static final class Check implements Callable<Integer> {
    @Mixin private Subject subject;

    @Option(
        names = "--device",
        paramLabel = "DEVICE",
        defaultValue = "auto",
        description = "auto, cpu or gpu:N (default: ${DEFAULT-VALUE}).")
    private String device;

    @Option(
        names = "--steps",
        paramLabel = "N",
        defaultValue = "2",
        description = "Steps to measure, after one to warm up (default: ${DEFAULT-VALUE}).")
    private int steps;

    @Override
    public Integer call() throws Exception {
      if (steps < 1) {
        throw new DemoException("--steps is %d; it must be at least 1.".formatted(steps));
      }
      Optional<ModelReport> report = subject.report();
      if (report.isEmpty() || !report.get().print()) {
        return NOT_SUPPORTED;
      }
      new ModelMeasurement(subject.path(), Optional.ofNullable(subject.variant), device, steps)
          .print();
      return 0;
    }
  }

  /** A smaller model. */
  @Command(
      name = "quantize",
      sortOptions = false,
      description = {
        "Write a model folder again with the weights of its UNet or transformer in int8, a scale"
            + " for each output channel: about a quarter of float32's memory. The new folder runs"
            + " as the old one does, with slightly different images."
      })
  static final class Quantize implements Callable<Integer> {
    @Mixin private Subject subject;

    @Parameters(index = "1", paramLabel = "FOLDER", description = "Where the new folder goes.")
    private Path to;

    @Option(
        names = "--components",
        paramLabel = "NAME",
        split = ",",
        description = "Networks to quantize (default: unet or transformer).")
    private List<String> components;

    @Option(
        names = "--type",
        paramLabel = "TYPE",
        defaultValue = "int8",
        description =
            "int8, or int4, which takes 0.6 of int8's memory and is further from the original"
                + " (default: ${DEFAULT-VALUE}).")
    private String type;

    @Override
    public Integer call() {
      Kind kind =
          Arrays.stream(Kind.values())
              .filter(each -> each.name().toLowerCase(Locale.ROOT).equals(type))
              .findFirst()
              .orElseThrow(
                  () ->
                      new DemoException(
                          "--type is %s; accepted are int8 and int4.".formatted(type)));
      ModelFolder model = subject.open();
      SortedSet<String> chosen =
          components == null ? ModelQuantizer.denoisers(model) : new TreeSet<>(components);
      ModelQuantizer.write(model, chosen, kind, to)
          .forEach(
              each ->
                  System.out.printf(
                      Locale.ROOT,
                      "%s: %.1f MB, was %.1f MB%n",
                      each.component(),
                      each.after() / 1e6,
                      each.before() / 1e6));
      System.out.println("Written to " + to);
      return 0;
    }
  }

  /** A hub without network. */
  @Command(
      name = "serve",
      sortOptions = false,
      description = {
        "Serve folders on this machine as Hugging Face's hub does, until Ctrl-C: a local stand-in"
            + " for the hub, to try things without a network.",
        "Set HF_ENDPOINT to the address that it prints, for each program that shall use it."
      })
  static final class Serve implements Callable<Integer> {
    @Mixin private HelpOption help;

    @Option(
        names = "--port",
        paramLabel = "PORT",
        defaultValue = "8180",
        description = "0 takes a free one (default: ${DEFAULT-VALUE}).")
    private int port;

    @Parameters(
        paramLabel = "OWNER/NAME=FOLDER",
        arity = "1..*",
        description = "Repositories, each with the folder that it serves.")
    private Map<String, Path> folders;

    @Override
    public Integer call() throws InterruptedException {
      new TreeMap<>(folders)
          .forEach(
              (name, folder) -> {
                HubName.parse("hf://" + name);
                if (!Files.isDirectory(folder)) {
                  throw new DemoException("There is no folder %s.".formatted(folder));
                }
              });
      try (LocalHub hub = LocalHub.start(port, folders)) {
        System.out.println("HF_ENDPOINT=" + hub.endpoint());
        Thread.currentThread().join();
        return 0;
      }
    }
  }
}
