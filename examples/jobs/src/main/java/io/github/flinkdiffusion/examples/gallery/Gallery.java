/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.errors.TopicExistsException;

/**
 * A gallery that runs: the page on the topics of a job. It needs the topic of images; what the page
 * can do besides follows from which of the others there are. The topic of votes is created.
 */
public final class Gallery implements AutoCloseable {
  private static final int PATIENCE_SECONDS = 20;

  /** Sends the request of a failure again. */
  @FunctionalInterface
  public interface Resender {
    /**
     * @return what was done, as a sentence
     * @throws Exception when it cannot be sent again; the message says why
     */
    Resent resend(int partition, long offset) throws Exception;
  }

  /**
   * What became of it.
   *
   * @param sent false when it was not sent, now or before
   */
  public record Resent(boolean sent, String text) {}

  /** Makes a result again. */
  @FunctionalInterface
  public interface Replayer {
    /**
     * @param name of the result, for messages
     * @param event as it is in Kafka
     * @param image that it was made from, or null
     */
    Replayed replay(String name, byte[] event, byte[] image) throws Exception;
  }

  /**
   * How near a result that was made again is to the first.
   *
   * @param verdict IDENTICAL, EQUAL, CLOSE or DIFFERENT
   */
  public record Replayed(String verdict, String text) {}

  /**
   * What helps to write a prompt.
   *
   * @param form of prompts that the model understands, or empty
   * @param suggestions of whole prompts
   * @param words that the model knows, by group; empty when it does not say
   */
  public record Hints(String form, List<String> suggestions, Map<String, List<String>> words) {
    public static final Hints NONE = new Hints("", List.of(), Map.of());
  }

  /**
   * What a gallery works with.
   *
   * @param client bootstrap.servers and whatever security needs
   * @param format of all topics; null to read Avro or JSON, whichever each record is, and write
   *     Avro
   * @param payloads for images beside Kafka
   * @param realImages folder of images that no model made, or null
   * @param resender null when failures are only shown
   * @param replayer null when results cannot be made again here
   * @param port of the page; 0 for any that is free
   */
  public record Settings(
      Properties client,
      GalleryTopics topics,
      FormatSettings format,
      PayloadStore payloads,
      Path realImages,
      Hints hints,
      Resender resender,
      Replayer replayer,
      int port) {}

  private static final int MOST_PORT = 65_535;

  private final Records records;
  private final Events events;
  private final Watch watch;
  private final Replays replays;
  private final GalleryServer server;

  private Gallery(Settings settings) throws IOException {
    Set<String> present = present(settings);
    GalleryTopics topics =
        settings
            .topics()
            .withTasks(
                settings.topics().tasks().stream()
                    .filter(task -> present.contains(task.topic()))
                    .toList());
    Formats formats = new Formats(settings.format());
    RealImages real = RealImages.in(settings.realImages());
    Wall wall = new Wall();
    records = new Records(settings.client());
    events = new Events(settings.client(), topics, formats, settings.payloads());
    Pictures pictures = new Pictures();
    ResultFiles files = new ResultFiles(topics, formats, settings.payloads(), wall, records);
    Ballots ballots = new Ballots(wall, files::result, real, pictures, events);
    replays =
        settings.replayer() == null
            ? null
            : new Replays(settings.replayer(), wall, files.forReplays());
    watch = new Watch(settings.client(), topics, present, formats, wall, records);
    server =
        new GalleryServer(
            new GalleryServer.Parts(
                topics,
                present,
                settings.hints(),
                wall,
                files,
                pictures,
                events,
                ballots,
                settings.resender(),
                Optional.ofNullable(replays)),
            settings.port());
  }

  /**
   * Starts to read the topics and to serve the page.
   *
   * @throws GalleryException when there is no topic of images, or Kafka does not answer
   * @throws IOException when the port is taken
   */
  public static Gallery start(Settings settings) throws IOException {
    Gallery gallery = new Gallery(settings);
    gallery.watch.start();
    gallery.server.start();
    return gallery;
  }

  /**
   * Looks whether the page could be served there, before anything else is started.
   *
   * @param port 0 for any that is free
   * @throws GalleryException when the port is taken, or is none
   */
  public static void requireFree(int port) {
    if (port < 0 || port > MOST_PORT) {
      throw new GalleryException(
          "There is no port %d; --port takes 0 (any that is free) to %d."
              .formatted(port, MOST_PORT));
    }
    try (ServerSocket socket = new ServerSocket()) {
      socket.setReuseAddress(true); // as HttpServer does: an ended gallery's port is free at once
      socket.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
    } catch (IOException e) {
      throw new GalleryException(
          "Port %d cannot be used (%s); --port takes another one, or 0 for any."
              .formatted(port, e.getMessage()),
          e);
    }
  }

  private static Set<String> present(Settings settings) {
    GalleryTopics topics = settings.topics();
    try (Admin admin = Admin.create(settings.client())) {
      Set<String> there =
          new HashSet<>(admin.listTopics().names().get(PATIENCE_SECONDS, TimeUnit.SECONDS));
      if (!there.contains(topics.images())) {
        throw new GalleryException(
            "Kafka at %s has no topic %s. Start the job that writes it, or name its prefix with --topic-prefix."
                .formatted(settings.client().getProperty("bootstrap.servers"), topics.images()));
      }
      if (there.add(topics.votes())) {
        create(admin, topics.votes());
      }
      return Set.copyOf(there);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new GalleryException("Interrupted.", e);
    } catch (ExecutionException | TimeoutException e) {
      throw new GalleryException(
          "Kafka at %s does not answer, or refuses the topic %s: %s"
              .formatted(
                  settings.client().getProperty("bootstrap.servers"),
                  topics.votes(),
                  e.getCause() == null ? "no answer in time" : e.getCause().getMessage()),
          e);
    }
  }

  private static void create(Admin admin, String votes)
      throws InterruptedException, ExecutionException, TimeoutException {
    try {
      admin
          .createTopics(List.of(new NewTopic(votes, Optional.of(1), Optional.<Short>empty())))
          .all()
          .get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      if (!(e.getCause() instanceof TopicExistsException)) {
        throw e;
      }
    }
  }

  /** Where the page is. */
  public URI address() {
    return server.address();
  }

  @Override
  public void close() {
    server.close();
    if (replays != null) {
      replays.close();
    }
    watch.close();
    events.close();
    records.close();
  }
}
