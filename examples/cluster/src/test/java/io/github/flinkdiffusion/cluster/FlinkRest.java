/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/** What a Flink cluster tells about its jobs. Safe for use by several threads. */
final class FlinkRest {
  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final long LOOK_AGAIN_MILLIS = 100;
  private static final ObjectMapper JSON = new ObjectMapper();

  private final HttpClient client = HttpClient.newHttpClient();
  private final List<String> bases;

  /**
   * @param ports of all JobManagers: any that answers tells what the leading one knows
   */
  FlinkRest(String... ports) {
    this.bases = Stream.of(ports).map(port -> "http://127.0.0.1:" + port).toList();
  }

  /**
   * How a job stands.
   *
   * @param allTasksRun whether every subtask of every vertex runs
   * @param rootCause why it failed last, or empty
   */
  record Job(String state, boolean allTasksRun, String rootCause) {}

  /**
   * A job's checkpoints.
   *
   * @param restores how often the job went on from one
   * @param lastCompleted id of the newest that is complete, 0 before the first
   */
  record Checkpoints(long restores, long lastCompleted, JsonNode all) {}

  Job job(String id) {
    JsonNode job = get("/jobs/" + id);
    boolean allRun = !job.path("vertices").isEmpty();
    for (JsonNode vertex : job.path("vertices")) {
      allRun &= vertex.path("tasks").path("RUNNING").asInt() == vertex.path("parallelism").asInt();
    }
    String rootCause =
        get("/jobs/" + id + "/exceptions")
            .path("exceptionHistory")
            .path("entries")
            .path(0)
            .path("stacktrace")
            .asText();
    return new Job(job.path("state").asText(), allRun, rootCause);
  }

  /** The ids of the jobs that have not ended, by their names. */
  Map<String, String> jobs() {
    Map<String, String> ids = new HashMap<>();
    for (JsonNode job : get("/jobs/overview").path("jobs")) {
      if (job.path("end-time").asLong() < 0) {
        ids.put(job.path("name").asText(), job.path("jid").asText());
      }
    }
    return ids;
  }

  /** The longest synchronous part of a completed checkpoint among all subtasks, in ms. */
  long synchronousMillis(String job, long checkpoint) {
    String path = "/jobs/" + job + "/checkpoints/details/" + checkpoint;
    long longest = 0;
    Iterator<String> vertices = get(path).path("tasks").fieldNames();
    while (vertices.hasNext()) {
      longest =
          Math.max(
              longest,
              get(path + "/subtasks/" + vertices.next())
                  .path("summary")
                  .path("checkpoint_duration")
                  .path("sync")
                  .path("max")
                  .asLong());
    }
    return longest;
  }

  /** What a TaskManager's classes take. */
  long metaspaceBytes(String taskManager) {
    String metric = "Status.JVM.Memory.Metaspace.Used";
    return get("/taskmanagers/" + taskManager + "/metrics?get=" + metric)
        .path(0)
        .path("value")
        .asLong();
  }

  /** How often the leading JobManager has restarted a job. */
  int restarts(String job) {
    return get("/jobs/" + job + "/metrics?get=numRestarts").path(0).path("value").asInt();
  }

  /**
   * Stops a job with a savepoint.
   *
   * @return whether it has come to that; if not, the job goes on
   */
  boolean stopWithSavepoint(String job, Path folder, Duration patience)
      throws InterruptedException {
    String body = "{\"drain\": false, \"targetDirectory\": \"" + folder.toUri() + "\"}";
    String request =
        ask("/jobs/" + job + "/stop", b -> b.POST(HttpRequest.BodyPublishers.ofString(body)))
            .path("request-id")
            .asText();
    long end = System.nanoTime() + patience.toNanos();
    while (System.nanoTime() < end) {
      JsonNode answer = get("/jobs/" + job + "/savepoints/" + request);
      if (answer.path("status").path("id").asText().equals("COMPLETED")) {
        return answer.path("operation").has("location");
      }
      Thread.sleep(LOOK_AGAIN_MILLIS);
    }
    return false;
  }

  void cancel(String job) {
    ask(
        "/jobs/" + job + "?mode=cancel",
        b -> b.method("PATCH", HttpRequest.BodyPublishers.noBody()));
  }

  Checkpoints checkpoints(String job) {
    JsonNode all = get("/jobs/" + job + "/checkpoints");
    return new Checkpoints(
        all.path("counts").path("restored").asLong(),
        all.path("latest").path("completed").path("id").asLong(),
        all);
  }

  Set<String> taskManagers() {
    Set<String> ids = new HashSet<>();
    for (JsonNode taskManager : get("/taskmanagers").path("taskmanagers")) {
      ids.add(taskManager.path("id").asText());
    }
    return ids;
  }

  /** The ids of the TaskManagers that a job's subtasks are on. */
  Set<String> taskManagersOf(String job) {
    Set<String> ids = new HashSet<>();
    for (JsonNode vertex : get("/jobs/" + job).path("vertices")) {
      String path = "/jobs/" + job + "/vertices/" + vertex.path("id").asText() + "/taskmanagers";
      for (JsonNode taskManager : get(path).path("taskmanagers")) {
        ids.add(taskManager.path("taskmanager-id").asText());
      }
    }
    return ids;
  }

  private JsonNode get(String path) {
    return ask(path, HttpRequest.Builder::GET);
  }

  private JsonNode ask(String path, UnaryOperator<HttpRequest.Builder> method) {
    IOException reason = new IOException("no address");
    for (String base : bases) {
      HttpRequest request =
          method.apply(HttpRequest.newBuilder(URI.create(base + path)).timeout(PATIENCE)).build();
      try {
        HttpResponse<byte[]> answer = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
        if (answer.statusCode() / 100 == 2) {
          return JSON.readTree(answer.body());
        }
        reason = new IOException(answer.statusCode() + " " + new String(answer.body()));
      } catch (IOException e) {
        reason = e;
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new AssertionError("Interrupted while asking " + path, e);
      }
    }
    throw new UncheckedIOException("Cannot ask Flink at " + bases + " for " + path, reason);
  }
}
