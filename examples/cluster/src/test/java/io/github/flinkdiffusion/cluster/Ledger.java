/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;
import java.awt.image.Raster;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import javax.imageio.ImageIO;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * What was asked and what was answered, as Kafka tells it: a thread reads all topics from their
 * beginning as any consumer behind the jobs would, so a run that was ended goes on with the same
 * books. Safe for use by several threads.
 */
final class Ledger implements AutoCloseable {
  private static final Duration POLL = Duration.ofMillis(100);

  private static final int MOST_COMPLAINTS = 50;

  /**
   * The books at a moment.
   *
   * @param asked records in the topics of requests
   * @param answered of them, those with an answer
   * @param twice answers beyond the first of each
   * @param wrong an image where a failure was due or the other way round, or an answer that nobody
   *     asked for
   * @param images that were compared
   * @param different of these, those that differ from the undisturbed one
   * @param redone steps of requests that were told a second time
   */
  record Books(
      int asked, int answered, int twice, int wrong, int images, int different, int redone) {
    int missing() {
      return asked - answered;
    }

    Books since(Books before) {
      return new Books(
          asked - before.asked,
          answered - before.answered,
          twice - before.twice,
          wrong - before.wrong,
          images - before.images,
          different - before.different,
          redone - before.redone);
    }
  }

  private record Key(ChaosJob job, String name) {}

  private static final class Entry {
    String expected;
    int answers;
  }

  /** What an answer holds: an image's pixels in levels, or a text's characters. */
  private interface Values {
    int[] read() throws IOException;
  }

  /** Of an answer; says whether it could be made already. */
  private interface Check {
    boolean isDone() throws IOException;
  }

  private final KafkaConsumer<byte[], byte[]> consumer;
  private final Thread thread;
  private final CountDownLatch ended = new CountDownLatch(1);
  private final CountDownLatch caughtUp = new CountDownLatch(1);
  private volatile boolean stop;
  private volatile Exception failure;

  private final Map<Key, Entry> entries = new HashMap<>();
  private final Map<Key, int[]> references = new HashMap<>();
  private final List<Check> checks = new ArrayList<>();
  private final Map<String, BitSet> steps = new HashMap<>();
  private final Map<ChaosJob, Integer> asked = new EnumMap<>(ChaosJob.class);
  private final Map<ChaosJob, Integer> answered = new EnumMap<>(ChaosJob.class);
  private final List<String> complaints = new ArrayList<>();
  private int twice;
  private int wrong;
  private int images;
  private int different;
  private int redone;
  private long stepEvents;

  Ledger(String bootstrapServers) {
    consumer =
        new KafkaConsumer<>(
            Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG,
                bootstrapServers,
                ConsumerConfig.ISOLATION_LEVEL_CONFIG,
                "read_committed",
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG,
                "none",
                ConsumerConfig.FETCH_MAX_BYTES_CONFIG,
                8 << 20,
                ConsumerConfig.RECONNECT_BACKOFF_MAX_MS_CONFIG,
                500),
            new ByteArrayDeserializer(),
            new ByteArrayDeserializer());
    thread = new Thread(this::read, "ledger");
    thread.setDaemon(true);
    thread.start();
  }

  private void read() {
    try (consumer) {
      List<TopicPartition> all = new ArrayList<>();
      Map<TopicPartition, ChaosJob> jobs = new HashMap<>();
      for (ChaosJob job : ChaosJob.values()) {
        for (String topic : job.topicNames()) {
          for (int partition = 0; partition < ChaosJob.PARTITIONS; partition++) {
            all.add(new TopicPartition(topic, partition));
            jobs.put(all.get(all.size() - 1), job);
          }
        }
      }
      consumer.assign(all);
      consumer.seekToBeginning(all);
      Map<TopicPartition, Long> present = consumer.endOffsets(all);
      while (!stop) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
          take(jobs.get(new TopicPartition(record.topic(), record.partition())), record);
        }
        if (caughtUp.getCount() > 0
            && all.stream().allMatch(p -> consumer.position(p) >= present.get(p))) {
          caughtUp.countDown();
        }
      }
    } catch (Exception e) {
      failure = e;
    } finally {
      caughtUp.countDown();
      ended.countDown();
    }
  }

  private synchronized void take(ChaosJob job, ConsumerRecord<byte[], byte[]> record)
      throws Exception {
    String topic = record.topic();
    if (topic.equals(job.topics().requests())) {
      ask(job, record);
    } else if (topic.equals(job.topics().images())) {
      if (job == ChaosJob.CAPTIONS) {
        TextEvent text = EventCodec.texts().decode(record.value());
        Key key = new Key(job, text.getId());
        compareLater(key, answer(key, null), () -> text.getText().chars().toArray());
      } else {
        ImageEvent image = EventCodec.images().decode(record.value());
        Key key = new Key(job, image.getId());
        compareLater(key, answer(key, null), () -> pixels(image));
      }
    } else if (topic.equals(job.topics().failures())) {
      FailureEvent failed = EventCodec.failures().decode(record.value());
      answer(
          new Key(
              job,
              failed.getId() != null
                  ? failed.getId()
                  : place(failed.getPartition(), failed.getOffset())),
          failed);
    } else {
      ProgressEvent progress = EventCodec.progress().decode(record.value());
      BitSet told = steps.computeIfAbsent(job.letter() + progress.getId(), id -> new BitSet());
      stepEvents++;
      if (told.get(progress.getStep())) {
        redone++;
      }
      told.set(progress.getStep());
    }
  }

  private static String place(int partition, long offset) {
    return partition + "@" + offset;
  }

  private void ask(ChaosJob job, ConsumerRecord<byte[], byte[]> record) {
    String[] header =
        new String(record.headers().lastHeader(ChaosRequest.HEADER).value(), StandardCharsets.UTF_8)
            .split(" ", 2);
    String name = header.length == 2 ? header[1] : place(record.partition(), record.offset());
    Entry entry = entries.computeIfAbsent(new Key(job, name), key -> new Entry());
    entry.expected = header[0];
    asked.merge(job, 1, Integer::sum);
    if (entry.answers > 0) {
      answered.merge(job, 1, Integer::sum);
    }
  }

  /**
   * @param failed null for an image
   */
  private Entry answer(Key key, FailureEvent failed) {
    Entry entry = entries.computeIfAbsent(key, k -> new Entry());
    entry.answers++;
    if (entry.answers > 1) {
      twice++;
      complain("%s %s is answered %d times".formatted(key.job(), key.name(), entry.answers));
    } else if (entry.expected != null) {
      answered.merge(key.job(), 1, Integer::sum);
    }
    boolean isFailure = failed != null;
    checks.add(
        () -> {
          if (entry.expected == null) {
            return false; // its request is in another topic, which may be read later
          }
          if (!entry.expected.equals(ChaosRequest.ANY)
              && entry.expected.equals(ChaosRequest.FAILURE) != isFailure) {
            wrong++;
            complain(
                "%s %s is answered with %s, due was %s"
                    .formatted(
                        key.job(),
                        key.name(),
                        isFailure ? failed.getReason() + ": " + failed.getMessage() : "an image",
                        entry.expected));
          }
          return true;
        });
    return entry;
  }

  private void compareLater(Key key, Entry entry, Values values) {
    ChaosJob job = key.job();
    checks.add(
        () -> {
          if (entry.expected == null) {
            return false;
          }
          if (entry.expected.startsWith(ChaosRequest.REFERENCE)) {
            references.put(template(job, entry), values.read());
          } else if (entry.expected.startsWith(ChaosRequest.IMAGE)) {
            int[] undisturbed = references.get(template(job, entry));
            if (undisturbed == null) {
              return false;
            }
            images++;
            int levels = levels(values.read(), undisturbed);
            if (levels > job.allowedLevels()) {
              different++;
              complain("%s %s differs by %d levels".formatted(job, key.name(), levels));
            }
          }
          return true;
        });
  }

  private static Key template(ChaosJob job, Entry entry) {
    return new Key(job, entry.expected.substring(entry.expected.indexOf(':') + 1));
  }

  private static int[] pixels(ImageEvent image) throws IOException {
    Payload payload = Payloads.image(image);
    byte[] bytes =
        Payloads.reference(payload).isPresent()
            ? Files.readAllBytes(
                Path.of(URI.create(Payloads.reference(payload).get().getUri()).getPath()))
            : Payloads.inlineBytes(payload).orElseThrow();
    // Not by the project's own readers, which a fault in them would blind.
    Raster pixels = ImageIO.read(new ByteArrayInputStream(bytes)).getRaster();
    return pixels.getPixels(0, 0, pixels.getWidth(), pixels.getHeight(), (int[]) null);
  }

  /** The largest difference, in levels of 256; all of them when the sizes differ. */
  private static int levels(int[] values, int[] expected) {
    if (values.length != expected.length) {
      return 256;
    }
    int largest = 0;
    for (int i = 0; i < values.length; i++) {
      largest = Math.max(largest, Math.abs(values[i] - expected[i]));
    }
    return largest;
  }

  private void compare() {
    int open;
    do { // a reference may come behind what is compared with it
      open = checks.size();
      checks.removeIf(
          check -> {
            try {
              return check.isDone();
            } catch (IOException e) {
              return false; // a payload store that is away: later
            }
          });
    } while (checks.size() < open);
  }

  private void complain(String complaint) {
    if (complaints.size() < MOST_COMPLAINTS) {
      complaints.add(complaint);
    }
  }

  /** Until everything that is in Kafka now is in the books. */
  void awaitCaughtUp() throws InterruptedException {
    caughtUp.await();
    check();
  }

  synchronized Books books() {
    check();
    compare();
    int unasked = (int) entries.values().stream().filter(entry -> entry.expected == null).count();
    return new Books(sum(asked), sum(answered), twice, wrong + unasked, images, different, redone);
  }

  private static int sum(Map<ChaosJob, Integer> counts) {
    return counts.values().stream().mapToInt(Integer::intValue).sum();
  }

  synchronized int asked(ChaosJob job) {
    check();
    return asked.getOrDefault(job, 0);
  }

  synchronized int answered(ChaosJob job) {
    check();
    return answered.getOrDefault(job, 0);
  }

  /** How many templates have an undisturbed image. */
  synchronized int references() {
    check();
    compare();
    return references.size();
  }

  synchronized long stepEvents() {
    check();
    return stepEvents;
  }

  /** What was found since this was asked last. */
  synchronized List<String> complaints() {
    List<String> all = List.copyOf(complaints);
    complaints.clear();
    return all;
  }

  /** Answers that could not be compared yet. */
  synchronized int uncompared() {
    compare();
    return checks.size();
  }

  /** The first few requests without an answer. */
  synchronized List<String> unanswered(int most) {
    return entries.entrySet().stream()
        .filter(entry -> entry.getValue().answers == 0)
        .limit(most)
        .map(entry -> entry.getKey().job() + " " + entry.getKey().name())
        .toList();
  }

  private void check() {
    if (failure != null) {
      throw new AssertionError("Reading the topics failed", failure);
    }
  }

  @Override
  public void close() throws InterruptedException {
    stop = true;
    ended.await();
  }
}
