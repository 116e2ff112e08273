/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.CloseableIterator;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Makes very many small pictures in one process and watches what it holds: the resident set, by its
 * slope after a warm-up, and the native tensors. Give it a heap of fixed size that is touched at
 * the beginning, or the heap's own growth is measured:
 *
 * <pre>
 * java -Xms512m -Xmx512m -XX:+AlwaysPreTouch -cp ... io.github.flinkdiffusion.examples.Soak
 * </pre>
 *
 * Ends with 1 when the slope or the tensors grow by more than is allowed. Linux only.
 */
@Command(
    name = "soak",
    mixinStandardHelpOptions = true,
    description = "Generate many images and watch the process's memory.")
public final class Soak implements Callable<Integer> {
  private static final int SAMPLES = 100;
  private static final int CAPACITY = 64;
  private static final double ALLOWED_KIB_PER_THOUSAND = 1024;

  @Option(
      names = "--model",
      defaultValue = "examples/models/mini-emoji",
      description = "Model folder (default: ${DEFAULT-VALUE}).")
  private Path model;

  @Option(
      names = "--count",
      defaultValue = "10000",
      description = "Images (default: ${DEFAULT-VALUE}).")
  private int count;

  @Option(
      names = "--warm-up",
      defaultValue = "2000",
      description = "Images before the slope is measured (default: ${DEFAULT-VALUE}).")
  private int warmUp;

  @Option(
      names = "--batch-rows",
      defaultValue = "16",
      description = "Most rows of a network call (default: ${DEFAULT-VALUE}).")
  private int batchRows;

  @Option(
      names = "--samples",
      paramLabel = "FILE",
      description =
          "Also write the samples to this file: images, resident KiB and native tensors on each"
              + " line.")
  private Path samplesFile;

  /**
   * @param pictures made so far
   * @param residentKib of the process
   * @param tensors native ones of the process, while calls go on
   */
  private record Sample(int pictures, long residentKib, int tensors) {}

  public static void main(String[] args) {
    System.exit(new CommandLine(new Soak()).execute(args));
  }

  @Override
  public Integer call() throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1);
    DataStream<PromptEvent> prompts =
        env.fromSource(
                new NumberSequenceSource(0, count - 1L),
                WatermarkStrategy.noWatermarks(),
                "numbers")
            .map(Soak::prompt)
            .returns(new AvroTypeInfo<>(PromptEvent.class));
    DataStream<ImageEvent> images =
        Diffusion.textToImage()
            .setModel(model.toString())
            .setDevice("cpu")
            .setCapacity(CAPACITY)
            .setBatchRows(batchRows)
            .apply(prompts)
            .images();
    Engines engines = Engines.standard();
    int before = engines.nativeTensors();
    List<Sample> samples = new ArrayList<>();
    long begin = System.nanoTime();
    try (CloseableIterator<ImageEvent> made = images.executeAndCollect("soak")) {
      int pictures = 0;
      while (made.hasNext()) {
        made.next();
        if (++pictures % Math.max(1, count / SAMPLES) == 0) {
          samples.add(new Sample(pictures, residentKib(), engines.nativeTensors()));
        }
      }
      if (pictures != count) {
        throw new DemoException(pictures + " of " + count + " pictures were made.");
      }
    }
    double seconds = (System.nanoTime() - begin) / 1e9;
    if (samplesFile != null) {
      Files.write(
          samplesFile,
          samples.stream()
              .map(each -> each.pictures() + "," + each.residentKib() + "," + each.tensors())
              .toList());
    }
    return report(samples, before, engines.nativeTensors(), seconds);
  }

  /** Short ways of different lengths, guided and not, so that calls are always mixed. */
  private static PromptEvent prompt(long number) {
    return PromptEvent.newBuilder()
        .setId("soak-" + number)
        .setPrompt("a small pizza on a purple background")
        .setScheduler(number % 2 == 0 ? "DDIMScheduler" : "EulerDiscreteScheduler")
        .setSteps(2 + (int) (number % 3))
        .setGuidanceScale(number % 5 == 0 ? 2.0 : 1.0)
        .build();
  }

  private int report(List<Sample> samples, int tensorsBefore, int tensorsAfter, double seconds) {
    List<Sample> measured = samples.stream().filter(sample -> sample.pictures() > warmUp).toList();
    if (measured.size() < 2) {
      throw new DemoException(
          "%d images with a warm-up of %d leave nothing to measure; generate more."
              .formatted(count, warmUp));
    }
    double slope = slopePerThousand(measured);
    int mostTensors = measured.stream().mapToInt(Sample::tensors).max().orElseThrow();
    System.out.printf("pictures: %d in %.0f s%n", count, seconds);
    for (int i = 9; i < samples.size(); i += 10) {
      Sample sample = samples.get(i);
      System.out.printf(
          "  after %6d: resident %d KiB, native tensors %d%n",
          sample.pictures(), sample.residentKib(), sample.tensors());
    }
    System.out.printf("slope after %d: %.0f KiB per 1,000 pictures%n", warmUp, slope);
    System.out.printf(
        "native tensors: %d before, at most %d during, %d after%n",
        tensorsBefore, mostTensors, tensorsAfter);
    boolean flat = slope <= ALLOWED_KIB_PER_THOUSAND && tensorsAfter <= tensorsBefore;
    System.out.println(flat ? "flat" : "NOT FLAT");
    return flat ? 0 : 1;
  }

  /** Least squares over the samples. */
  private static double slopePerThousand(List<Sample> samples) {
    double meanX = samples.stream().mapToInt(Sample::pictures).average().orElseThrow();
    double meanY = samples.stream().mapToLong(Sample::residentKib).average().orElseThrow();
    double xy = 0;
    double xx = 0;
    for (Sample sample : samples) {
      xy += (sample.pictures() - meanX) * (sample.residentKib() - meanY);
      xx += (sample.pictures() - meanX) * (sample.pictures() - meanX);
    }
    return 1000 * xy / xx;
  }

  private static long residentKib() throws IOException {
    try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
      return lines
          .filter(line -> line.startsWith("VmRSS:"))
          .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
          .findFirst()
          .orElseThrow();
    }
  }
}
