package io.github.flinkdiffusion.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Which checkpoints a job went on from, and when. Fed with what Flink tells about checkpoints, as
 * often as possible: it remembers the last few only. Times are in ms since 1970.
 */
final class Restores {
  /**
   * The job went on from a checkpoint.
   *
   * @param triggered when that checkpoint began: everything done before is in it
   */
  record Restore(long checkpoint, long triggered, long restored) {}

  /**
   * What a restore cost.
   *
   * @param resumed requests that went on in mid-flight
   * @param lostSteps network steps that these requests were told to be further at the failure than
   *     when the checkpoint began
   * @param redoneSteps of these, those that were done a second time: not all, since the checkpoint
   *     took each request as far as it had come a little later
   */
  record Cost(Restore restore, int resumed, int lostSteps, int redoneSteps) {}

  private final Map<Long, Long> triggerTimes = new HashMap<>();
  private final List<Restore> restores = new ArrayList<>();

  synchronized void look(FlinkRest.Checkpoints checkpoints) {
    for (JsonNode checkpoint : checkpoints.all().path("history")) {
      triggerTimes.put(
          checkpoint.path("id").asLong(), checkpoint.path("trigger_timestamp").asLong());
    }
    JsonNode last = checkpoints.all().path("latest").path("restored");
    long restored = last.path("restore_timestamp").asLong();
    if (restored == 0 || restores.stream().anyMatch(r -> r.restored() == restored)) {
      return;
    }
    long id = last.path("id").asLong();
    Long triggered = triggerTimes.get(id);
    if (triggered == null) {
      throw new AssertionError("Checkpoint " + id + " was restored, but never seen: " + last);
    }
    restores.add(new Restore(id, triggered, restored));
  }

  synchronized List<Restore> all() {
    return List.copyOf(restores);
  }

  /**
   * Holds the progress of all requests against the restores. A request of which a step was told
   * before a checkpoint began is in that checkpoint at this step or a later one, so after a restore
   * it goes on behind it.
   *
   * @param steps of the whole run, in the order in which they were written for each request
   * @param resumed what TaskManagers say they went on with
   * @throws AssertionError when a step was done again that was done before the checkpoint
   */
  static List<Cost> costs(List<Restore> restores, List<Answers.Step> steps, List<Resumed> resumed) {
    Map<String, List<Answers.Step>> byId = new HashMap<>();
    steps.forEach(step -> byId.computeIfAbsent(step.id(), id -> new ArrayList<>()).add(step));
    List<Cost> costs = new ArrayList<>();
    for (int i = 0; i < restores.size(); i++) {
      Restore restore = restores.get(i);
      long end = i + 1 < restores.size() ? restores.get(i + 1).restored() : Long.MAX_VALUE;
      Map<String, Integer> wentOnBehind = new HashMap<>();
      resumed.stream()
          .filter(r -> r.time() >= restore.restored() && r.time() < end)
          .forEach(r -> wentOnBehind.put(r.id(), r.step()));
      int lost = 0;
      int redone = 0;
      for (Map.Entry<String, List<Answers.Step>> request : byId.entrySet()) {
        int saved = 0;
        int reached = 0;
        // Without a word from the TaskManager, it was read from Kafka again, or was on a
        // TaskManager that lives, or had nothing left to do.
        int behind = wentOnBehind.getOrDefault(request.getKey(), Integer.MAX_VALUE);
        for (Answers.Step step : request.getValue()) {
          if (step.appended() < restore.triggered()) {
            saved = Math.max(saved, step.step());
          }
          if (step.appended() < restore.restored()) {
            reached = Math.max(reached, step.step());
          } else if (step.appended() < end) {
            behind = Math.min(behind, step.step() - 1);
          }
        }
        if (behind < saved) {
          throw new AssertionError(
              "Request %s was at step %d when the checkpoint of %s began, and went on behind step %d: %s"
                  .formatted(request.getKey(), saved, restore, behind, request.getValue()));
        }
        int again = Math.max(0, reached - behind);
        if (again > 0 || wentOnBehind.containsKey(request.getKey())) {
          lost += reached - saved;
          redone += again;
        }
      }
      int inMidFlight = (int) wentOnBehind.values().stream().filter(step -> step > 0).count();
      costs.add(new Cost(restore, inMidFlight, lost, redone));
    }
    return costs;
  }
}
