/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import io.github.flinkdiffusion.connector.kafka.DiffusionSinks;
import io.github.flinkdiffusion.connector.kafka.DiffusionSources;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.Callable;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** P8: events through the typed source and sink, beside bytes through Flink's own. */
@Command(
    name = "connector",
    mixinStandardHelpOptions = true,
    description = "Pictures from topic to topic as events, beside the same records as bytes.")
final class ConnectorBenchmark extends BenchmarkCommand {
  private static final String OURS = "events";
  private static final String PEER = "bytes";
  private static final double GOAL = 0.95;
  private static final long MEBIBYTE = 1 << 20;

  /**
   * @param name in the report
   * @param bytes of a picture
   * @param most events of a round, as small ones cost time rather than bytes
   */
  private record Payload(String name, int bytes, int most) {}

  private static final List<Payload> PAYLOADS =
      List.of(
          new Payload("10 KB", 10_000, 20_000),
          new Payload("100 KB", 100_000, 20_000),
          new Payload("1 MB", 1_000_000, 20_000));

  @Option(
      names = "--mebibytes",
      paramLabel = "N",
      description =
          "Pictures of a round and size, in MiB (default: ${DEFAULT-VALUE}; 1 with --smoke, and the smallest size only).")
  private int mebibytes = 400;

  @Option(names = "--object-reuse", description = "Turns on pipeline.object-reuse, for both sides.")
  private boolean objectReuse;

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    List<Payload> payloads = PAYLOADS;
    if (options().smoke()) {
      mebibytes = 1;
      payloads = payloads.subList(0, 1);
    }
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "Connector: events beside bytes",
            """
            A job of one subtask copies finished pictures of random bytes from one topic to another, read committed and
            written exactly once with a checkpoint each second, on a broker in the same process. *Events* reads with
            `DiffusionSources.images()`, which checks and decodes every record, and writes with
            `DiffusionSinks.images()`; *bytes* is Flink's KafkaSource and KafkaSink of the same records as byte arrays,
            with the same settings of Kafka. The time is that from the first record to the last on its way into the
            sink; object reuse is %s.
            """
                .formatted(objectReuse ? "on" : "off, as is Flink's default"));
    List<Double> ratios = new ArrayList<>();
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      for (Payload payload : payloads) {
        int count = (int) Math.min(payload.most(), mebibytes * MEBIBYTE / payload.bytes());
        String input = "input-" + payload.bytes();
        kafka.createTopics(1, input);
        fill(kafka, input, payload, count);
        Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
        subjects.put(OURS, () -> copy(kafka, input, count, this::events));
        subjects.put(PEER, () -> copy(kafka, input, count, this::bytes));
        Map<String, Measurement> measured =
            options().rounds().alternate(payload.name(), "events/s", subjects);
        measured.values().forEach(result::add);
        Finding finding =
            Finding.ratio(
                "events/s over bytes", measured.get(OURS), measured.get(PEER), Goal.atLeast(GOAL));
        result.add(finding);
        ratios.add(finding.value());
        deleteTopics(kafka, List.of(input));
      }
    }
    result.add(
        Plot.bars(
            "Events beside bytes",
            "size of a picture",
            "events a second over that of bytes",
            payloads.stream().map(Payload::name).toList(),
            List.of(new Plot.Series("events over bytes", List.of(), ratios))));
    return result;
  }

  private static void fill(EmbeddedKafka kafka, String topic, Payload payload, int count) {
    Random random = new Random(1);
    byte[] picture = new byte[payload.bytes()];
    // In portions: the producer holds what it has not sent.
    int portion = (int) Math.max(1, 16 * MEBIBYTE / payload.bytes());
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      random.nextBytes(picture);
      String id = "picture-" + i;
      byte[] event =
          EventCodec.images()
              .encode(
                  ImageEvent.newBuilder()
                      .setId(id)
                      .setImage(ByteBuffer.wrap(picture))
                      .setWidth(64)
                      .setHeight(64)
                      .setPrompt("a large red apple on a blue background")
                      .build());
      records.add(new ProducerRecord<>(topic, id.getBytes(StandardCharsets.UTF_8), event));
      if (records.size() == portion || i == count - 1) {
        kafka.send(records);
        records.clear();
      }
    }
  }

  /** Adds a job that copies a topic. */
  @FunctionalInterface
  private interface Copying {
    /** Returns the watch of its records. */
    Stopwatch<?> define(
        StreamExecutionEnvironment env, String servers, String input, String output);
  }

  private double copy(EmbeddedKafka kafka, String input, int count, Copying job) throws Exception {
    String output = "output-" + UUID.randomUUID();
    kafka.createTopics(1, output, failures(output));
    try {
      StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1);
      env.enableCheckpointing(Duration.ofSeconds(1).toMillis());
      if (objectReuse) {
        env.getConfig().enableObjectReuse();
      }
      Stopwatch<?> watch = job.define(env, kafka.bootstrapServers(), input, output);
      env.execute("copy");
      return watch.rate(count);
    } finally {
      deleteTopics(kafka, List.of(output, failures(output)));
    }
  }

  private Stopwatch<?> events(
      StreamExecutionEnvironment env, String servers, String input, String output) {
    Stopwatch<ImageEvent> watch = new Stopwatch<>(0);
    Decoded.split(
            env.fromSource(
                DiffusionSources.images()
                    .setBootstrapServers(servers)
                    .setTopics(input)
                    .setBounded(OffsetsInitializer.latest())
                    .build(env),
                WatermarkStrategy.noWatermarks(),
                "events"))
        .events()
        .map(watch)
        .returns(new AvroTypeInfo<>(ImageEvent.class))
        .sinkTo(
            DiffusionSinks.images()
                .setBootstrapServers(servers)
                .setTransactionalIdPrefix("copy")
                .setTopic(output)
                .setFailuresTopic(failures(output))
                .build(env));
    return watch;
  }

  private Stopwatch<?> bytes(
      StreamExecutionEnvironment env, String servers, String input, String output) {
    Stopwatch<byte[]> watch = new Stopwatch<>(0);
    env.fromSource(
            KafkaSource.<byte[]>builder()
                .setBootstrapServers(servers)
                .setTopics(input)
                .setProperty("isolation.level", "read_committed")
                .setBounded(OffsetsInitializer.latest())
                .setDeserializer(
                    KafkaRecordDeserializationSchema.valueOnly(ByteArrayDeserializer.class))
                .build(),
            WatermarkStrategy.noWatermarks(),
            "bytes")
        .returns(PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO)
        .map(watch)
        .returns(PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO)
        .sinkTo(
            KafkaSink.<byte[]>builder()
                .setBootstrapServers(servers)
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix("copy/" + output)
                .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
                .setProperty("transaction.timeout.ms", "900000")
                .setProperty("max.request.size", Integer.toString(EmbeddedKafka.MAX_MESSAGE_BYTES))
                .setRecordSerializer(
                    KafkaRecordSerializationSchema.<byte[]>builder()
                        .setTopic(output)
                        .setValueSerializationSchema(new Unchanged())
                        .build())
                .build());
    return watch;
  }

  /** A class, as Flink looks for the type of a serializer's records. */
  private static final class Unchanged implements SerializationSchema<byte[]> {
    private static final long serialVersionUID = 1L;

    @Override
    public byte[] serialize(byte[] element) {
      return element;
    }
  }

  private static String failures(String output) {
    return output + "-failures";
  }

  /** Rounds would fill the disk. */
  private static void deleteTopics(EmbeddedKafka kafka, List<String> topics) throws Exception {
    try (Admin admin = kafka.admin()) {
      admin.deleteTopics(topics).all().get();
    }
  }
}
