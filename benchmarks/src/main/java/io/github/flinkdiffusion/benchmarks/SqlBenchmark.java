/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import io.github.flinkdiffusion.ops.serving.OutputOrder;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.types.Row;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** What Flink SQL costs: the same prompts through {@code ML_PREDICT} and through the operator. */
@Command(
    name = "sql",
    mixinStandardHelpOptions = true,
    description = "Pictures a second through ML_PREDICT, beside the DataStream operator.")
final class SqlBenchmark extends BenchmarkCommand {
  private static final String OURS = "ML_PREDICT";
  private static final String PEER = "DataStream operator";
  private static final String SCENARIO = "mini-emoji";
  private static final double GOAL = 0.90;
  private static final TypeInformation<Row> PROMPT =
      Types.ROW_NAMED(new String[] {"id", "prompt"}, Types.STRING, Types.STRING);

  @Mixin private RoundSize size;

  @Option(
      names = "--concurrent",
      paramLabel = "N",
      description =
          "Requests that Flink has under way, on both sides (default: ${DEFAULT-VALUE}; 8 with"
              + " --smoke).")
  private int concurrent = 32;

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    if (options().smoke()) {
      size.shrink();
      concurrent = 8;
    }
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "SQL: ML_PREDICT beside the DataStream operator",
            """
            `mini-emoji`, %d steps without guidance, at most %d pictures a network call and %d requests under way, results in
            the order of the prompts, a checkpoint each second. Both jobs count numbers, make prompts of them, and throw the
            finished PNG files away, on a Flink cluster in the same process. Both load their model and make %d pictures
            first; then the time of %d is taken.
            """
                .formatted(size.steps(), size.rows(), concurrent, size.rows(), size.pictures()));
    Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
    subjects.put(OURS, this::predicted);
    subjects.put(PEER, this::operated);
    compare(
        result,
        SCENARIO,
        "pictures/s",
        subjects,
        "pictures/s over the operator",
        Goal.atLeast(GOAL));
    return result;
  }

  private double predicted() throws Exception {
    StreamExecutionEnvironment env = environment();
    StreamTableEnvironment tables = StreamTableEnvironment.create(env);
    int each = size.steps();
    tables.createTemporaryView(
        "prompts",
        numbers(env)
            .map(
                number -> {
                  PromptEvent event = MiniEmoji.event("r" + number, each);
                  return Row.of(event.getId(), event.getPrompt());
                })
            .returns(PROMPT));
    // Without a column for errors, a picture that cannot be made fails the job.
    tables.executeSql(
        """
        CREATE MODEL painter INPUT (id STRING, prompt STRING) OUTPUT (image BYTES)
        WITH ('provider' = 'diffusion', 'model.folder' = '%s', 'device' = 'cpu',
          'batch.rows' = '%d', 'steps' = '%d', 'guidance-scale' = '%s')
        """
            .formatted(MiniEmoji.folder(), size.rows(), size.steps(), MiniEmoji.NO_GUIDANCE));
    Stopwatch<Row> watch = new Stopwatch<>(size.rows());
    DataStream<Row> images =
        tables.toDataStream(
            tables.sqlQuery(
                """
                SELECT id, image FROM ML_PREDICT(TABLE prompts, MODEL painter, DESCRIPTOR(id, prompt),
                  MAP['max-concurrent-operations', '%d', 'output-mode', 'ORDERED'])
                """
                    .formatted(concurrent)));
    images
        .map(watch)
        .returns(Types.ROW(Types.STRING, Types.PRIMITIVE_ARRAY(Types.BYTE)))
        .sinkTo(new DiscardingSink<>());
    env.execute("ML_PREDICT");
    return watch.rate(size.all());
  }

  private double operated() throws Exception {
    StreamExecutionEnvironment env = environment();
    int each = size.steps();
    Stopwatch<ImageEvent> watch = new Stopwatch<>(size.rows());
    Diffusion.textToImage()
        .setModel(MiniEmoji.folder().toString())
        .setDevice("cpu")
        .setBatchRows(size.rows())
        .setCapacity(concurrent)
        .setOutputOrder(OutputOrder.ORDERED)
        .apply(
            numbers(env)
                .map(number -> MiniEmoji.event("r" + number, each))
                .returns(new AvroTypeInfo<>(PromptEvent.class)))
        .images()
        .map(watch)
        .returns(new AvroTypeInfo<>(ImageEvent.class))
        .sinkTo(new DiscardingSink<>());
    env.execute("operator");
    return watch.rate(size.all());
  }

  private static StreamExecutionEnvironment environment() {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1);
    env.enableCheckpointing(Duration.ofSeconds(1).toMillis());
    return env;
  }

  private DataStream<Long> numbers(StreamExecutionEnvironment env) {
    return env.fromSource(
        new NumberSequenceSource(1, size.all()), WatermarkStrategy.noWatermarks(), "numbers");
  }
}
