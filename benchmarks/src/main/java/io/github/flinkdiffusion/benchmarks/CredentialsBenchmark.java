/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.OutputOrder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.ToDoubleFunction;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** What content credentials cost: the same prompts with a key that signs, and without. */
@Command(
    name = "credentials",
    mixinStandardHelpOptions = true,
    description = "Pictures a second with content credentials, beside pictures without.")
final class CredentialsBenchmark extends BenchmarkCommand {
  private static final double GOAL = 0.98;
  private static final int CONCURRENT = 32;
  private static final String STORE = "images.p12";
  private static final String PASSWORD = "benchmark";

  @Mixin private RoundSize size;

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    if (options().smoke()) {
      size.shrink();
    }
    Path folder = Files.createTempDirectory("flink-diffusion-credentials");
    try {
      makeKey(folder);
      BenchmarkResult.Builder result =
          new BenchmarkResult.Builder(
              "Content credentials: signed images beside unsigned ones",
              """
              `mini-emoji` by the DataStream operator, %d steps without guidance, at most %d pictures a network call and %d
              requests under way, with an Ed25519 key and without. Signing happens on the threads that encode PNG files. The
              images are small and quick, so the share of a larger model's is smaller. Both jobs make %d pictures first; then
              the time of %d is taken, and in rounds of their own the processor time that the process uses for as many.
              """
                  .formatted(size.steps(), size.rows(), CONCURRENT, size.rows(), size.pictures()));
      compare(
          result,
          "mini-emoji",
          "pictures/s",
          subjects(folder, watch -> watch.rate(size.all())),
          "pictures/s over unsigned ones",
          Goal.atLeast(GOAL));
      compare(
          result,
          "mini-emoji, processor time",
          "pictures/CPU s",
          subjects(folder, watch -> watch.ratePerProcessorSecond(size.all())),
          "pictures a second of processor time, over unsigned ones",
          Goal.atLeast(GOAL));
      return result;
    } finally {
      for (String file :
          List.of("root.p12", "root.pem", "request.pem", "images.pem", STORE, "password")) {
        Files.deleteIfExists(folder.resolve(file));
      }
      Files.delete(folder);
    }
  }

  private Map<String, Callable<Double>> subjects(
      Path key, ToDoubleFunction<Stopwatch<ImageEvent>> rate) {
    Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
    subjects.put("signed", () -> rate.applyAsDouble(generated(key)));
    subjects.put("unsigned", () -> rate.applyAsDouble(generated(null)));
    return subjects;
  }

  /**
   * @param key folder of the key; null leaves images without credentials
   */
  private Stopwatch<ImageEvent> generated(Path key) throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1);
    env.enableCheckpointing(Duration.ofSeconds(1).toMillis());
    int each = size.steps();
    Stopwatch<ImageEvent> watch = new Stopwatch<>(size.rows());
    var operator =
        Diffusion.textToImage()
            .setModel(MiniEmoji.folder().toString())
            .setDevice("cpu")
            .setBatchRows(size.rows())
            .setCapacity(CONCURRENT)
            .setOutputOrder(OutputOrder.ORDERED);
    if (key != null) {
      operator
          .setOption(DiffusionOptions.CREDENTIALS_KEY_FILE, key.resolve(STORE).toString())
          .setOption(
              DiffusionOptions.CREDENTIALS_PASSWORD_FILE, key.resolve("password").toString());
    }
    operator
        .apply(
            env.fromSource(
                    new NumberSequenceSource(1, size.all()),
                    WatermarkStrategy.noWatermarks(),
                    "numbers")
                .map(number -> MiniEmoji.event("r" + number, each))
                .returns(new AvroTypeInfo<>(PromptEvent.class)))
        .images()
        .map(watch)
        .returns(new AvroTypeInfo<>(ImageEvent.class))
        .sinkTo(new DiscardingSink<>());
    env.execute("credentials");
    return watch;
  }

  /** An authority, and a key with a certificate from it, as C2PA's profile wants it. */
  private static void makeKey(Path folder) throws IOException, InterruptedException {
    Files.writeString(folder.resolve("password"), PASSWORD);
    keytool(
        folder,
        "-genkeypair -alias root -keyalg Ed25519 -keystore root.p12 -ext bc:c=ca:true"
            + " -dname O=Benchmark,CN=root");
    keytool(folder, "-exportcert -rfc -alias root -keystore root.p12 -file root.pem");
    keytool(
        folder,
        "-genkeypair -alias images -keyalg Ed25519 -keystore "
            + STORE
            + " -dname O=Benchmark,CN=images");
    keytool(folder, "-certreq -alias images -file request.pem -keystore " + STORE);
    keytool(
        folder,
        "-gencert -rfc -alias root -keystore root.p12 -infile request.pem -outfile"
            + " images.pem -ext ku:c=digitalSignature -ext eku=emailProtection");
    keytool(folder, "-importcert -noprompt -alias root -file root.pem -keystore " + STORE);
    keytool(folder, "-importcert -noprompt -alias images -file images.pem -keystore " + STORE);
  }

  private static void keytool(Path folder, String arguments)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "keytool").toString());
    command.addAll(List.of(arguments.split(" ")));
    command.addAll(List.of("-storetype", "PKCS12", "-storepass", PASSWORD));
    Process process =
        new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (process.waitFor() != 0) {
      throw new BenchmarkException("keytool " + arguments + ": " + said);
    }
  }
}
