package io.github.flinkdiffusion.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;

/** What a Flink cluster tells about its jobs. Safe for use by several threads. */
final class FlinkRest {
  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final ObjectMapper JSON = new ObjectMapper();

  private final HttpClient client = HttpClient.newHttpClient();
  private final String base;

  FlinkRest(String port) {
    this.base = "http://127.0.0.1:" + port;
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
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(base + path)).timeout(PATIENCE).GET().build();
    try {
      HttpResponse<byte[]> answer = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
      if (answer.statusCode() != 200) {
        throw new IOException(path + ": " + answer.statusCode() + " " + new String(answer.body()));
      }
      return JSON.readTree(answer.body());
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot ask Flink at " + base + path, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("Interrupted while asking " + path, e);
    }
  }
}
