/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.VoteEvent;
import io.github.flinkdiffusion.connector.format.EventWriter;
import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.Images;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Sends what people ask for, and says when Kafka has it. */
final class Events implements AutoCloseable {
  /** The attribute that a file's name goes into. */
  static final String NAME = "name";

  /** Bytes of an image that is dropped. */
  static final int MOST_UPLOAD = 8 << 20;

  private static final int MOST_PROMPT = 2_000;
  private static final int MOST_NAME = 200;
  private static final int MOST_COUNT = 16;
  private static final int MOST_STEPS = 1_000;
  private static final long MOST_SEED = (1L << 32) - 1;
  private static final Duration TIMEOUT = Duration.ofSeconds(20);
  private static final Map<String, String> SENDER = Map.of("sender", "gallery");

  private final GalleryTopics topics;
  private final Formats formats;
  private final PayloadStore payloads;
  private final KafkaProducer<byte[], byte[]> producer;
  private final Map<String, EventWriter<?>> writers = new HashMap<>();

  Events(Properties client, GalleryTopics topics, Formats formats, PayloadStore payloads) {
    this.topics = topics;
    this.formats = formats;
    this.payloads = payloads;
    Properties writing = new Properties();
    writing.putAll(client);
    writing.setProperty(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, "true");
    writing.setProperty(
        ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, Long.toString(TIMEOUT.toMillis()));
    writing.setProperty(ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, "10000");
    writing.setProperty(ProducerConfig.MAX_BLOCK_MS_CONFIG, "10000");
    writing.setProperty(ProducerConfig.MAX_REQUEST_SIZE_CONFIG, Integer.toString(16 << 20));
    producer = new KafkaProducer<>(writing, new ByteArraySerializer(), new ByteArraySerializer());
  }

  /**
   * Sends a prompt as often as it says, with seeds that follow each other.
   *
   * @return the requests' ids
   */
  List<String> prompts(JsonNode asked) throws Refusal {
    String prompt = Json.text(asked, "prompt", MOST_PROMPT).strip();
    if (prompt.isEmpty()) {
      throw Refusal.badRequest("Write a prompt first.");
    }
    Long count = Json.number(asked, "count", 1, MOST_COUNT);
    Long seed = Json.number(asked, "seed", 0, MOST_SEED);
    Long steps = Json.number(asked, "steps", 1, MOST_STEPS);
    String group = newId();
    List<String> ids = new ArrayList<>();
    List<PromptEvent> events = new ArrayList<>();
    for (int i = 0; i < (count == null ? 1 : count); i++) {
      ids.add(group + "-" + (i + 1));
      events.add(
          PromptEvent.newBuilder()
              .setId(ids.get(i))
              .setPrompt(prompt)
              .setNegativePrompt(
                  Json.optionalText(asked, "negativePrompt", MOST_PROMPT).orElse("").strip())
              .setSeed(seed == null ? null : seed + i)
              .setSteps(steps == null ? null : steps.intValue())
              .setGuidanceScale(Json.decimal(asked, "guidance", 0, 100))
              .setScheduler(Json.optionalText(asked, "scheduler", MOST_NAME).orElse(null))
              .setAttributes(SENDER)
              .build());
    }
    List<Future<?>> sent = new ArrayList<>();
    for (PromptEvent event : events) {
      sent.add(send(PromptEvent.class, topics.prompts(), event.getId(), event));
    }
    for (Future<?> each : sent) {
      await(each, topics.prompts());
    }
    return ids;
  }

  /**
   * Sends an image.
   *
   * @return the request's id
   */
  String image(GalleryTopics.Task task, byte[] file, JsonNode asked) throws Refusal {
    String mediaType =
        Images.mediaType(file)
            .orElseThrow(
                () ->
                    new Refusal(
                        415,
                        "The file is no image that is known here: PNG, JPEG, WebP, TIFF, GeoTIFF,"
                            + " DICOM and NIfTI files are."));
    Long seed = Json.number(asked, "seed", 0, MOST_SEED);
    Long steps = Json.number(asked, "steps", 1, MOST_STEPS);
    Long samples = Json.number(asked, "samples", 1, MOST_COUNT);
    Map<String, String> attributes = new HashMap<>(SENDER);
    Json.optionalText(asked, NAME, MOST_NAME).ifPresent(name -> attributes.put(NAME, name));
    String id = newId();
    try {
      ImageTaskEvent event =
          ImageTaskEvent.newBuilder()
              .setId(id)
              .setImage(payloads.write(file, mediaType))
              .setSeed(seed)
              .setSteps(steps != null ? Integer.valueOf(steps.intValue()) : given(task.steps()))
              .setEnsembleSize(
                  samples != null ? Integer.valueOf(samples.intValue()) : given(task.samples()))
              .setAttributes(attributes)
              .build();
      await(send(ImageTaskEvent.class, task.topic(), id, event), task.topic());
    } catch (PayloadException e) {
      throw new Refusal(502, "The image could not be stored: " + e.getMessage());
    }
    return id;
  }

  private static Integer given(int orZero) {
    return orZero == 0 ? null : orZero;
  }

  void cancel(String id) throws Refusal {
    CancelEvent event = new CancelEvent(id, "taken back in the gallery");
    await(send(CancelEvent.class, topics.cancellations(), id, event), topics.cancellations());
  }

  void vote(VoteEvent vote) throws Refusal {
    await(send(VoteEvent.class, topics.votes(), vote.getId(), vote), topics.votes());
  }

  private static String newId() {
    return "gallery-" + UUID.randomUUID().toString().replace("-", "").substring(0, 16);
  }

  private <T extends SpecificRecord> Future<?> send(
      Class<T> eventClass, String topic, String id, T event) throws Refusal {
    try {
      return producer.send(
          new ProducerRecord<>(topic, id.getBytes(UTF_8), write(eventClass, topic, event)));
    } catch (RuntimeException e) {
      // Of Kafka's client, or of a schema registry that cannot be asked.
      throw notSent(topic, e);
    }
  }

  /** A writer is not for several threads. */
  @SuppressWarnings("unchecked") // by the topic, which has events of one class
  private synchronized <T extends SpecificRecord> byte[] write(
      Class<T> eventClass, String topic, T event) {
    EventWriter<T> writer =
        (EventWriter<T>) writers.computeIfAbsent(topic, name -> formats.writer(eventClass, name));
    return writer.write(event);
  }

  private static void await(Future<?> sent, String topic) throws Refusal {
    try {
      sent.get(TIMEOUT.toMillis() + 1_000, TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw notSent(topic, e);
    } catch (ExecutionException e) {
      throw notSent(topic, e.getCause());
    } catch (TimeoutException e) {
      throw notSent(topic, e);
    }
  }

  private static Refusal notSent(String topic, Throwable why) {
    return new Refusal(
        502, "Kafka did not take the request for topic %s: %s".formatted(topic, why.getMessage()));
  }

  @Override
  public void close() {
    producer.close(Duration.ofSeconds(2));
  }
}
