/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToIntFunction;

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
   * @param stepsForFeatures done again although the checkpoint had them: those since the last whole
   *     step of requests that reuse features
   */
  record Cost(Restore restore, int resumed, int lostSteps, int redoneSteps, int stepsForFeatures) {}

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
    // A restart that fails, for want of slots say, is tried again from the same checkpoint.
    if (restores.isEmpty() || restores.get(restores.size() - 1).checkpoint() != id) {
      restores.add(new Restore(id, triggered, restored));
    }
  }

  synchronized List<Restore> all() {
    return List.copyOf(restores);
  }

  /**
   * Holds the progress of all requests against the restores. A request that was told to be at some
   * step before a checkpoint began is in that checkpoint at this step or a later one, so after a
   * restore it goes on behind it.
   *
   * @param steps of the whole run
   * @param resumed what TaskManagers say they went on with
   * @param reuse how many steps of a request may follow one whose features they reuse: it goes on
   *     from that one, because features are in no checkpoint
   * @throws AssertionError when another step was done again that was done before the checkpoint
   */
  static List<Cost> costs(
      List<Restore> restores,
      List<Answers.Step> steps,
      List<Resumed> resumed,
      ToIntFunction<String> reuse) {
    Map<String, TreeMap<Long, Integer>> levels = new HashMap<>();
    steps.forEach(s -> levels(levels, s.id()).merge(s.appended(), s.step(), Math::max));
    // A restore takes every request back to where nobody knows, unless somebody says so.
    restores.forEach(r -> levels.values().forEach(level -> level.putIfAbsent(r.restored(), 0)));
    resumed.forEach(r -> levels(levels, r.id()).merge(r.time(), r.step(), Math::max));

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
      int forFeatures = 0;
      for (Map.Entry<String, Integer> request : wentOnBehind.entrySet()) {
        TreeMap<Long, Integer> level = levels.get(request.getKey());
        int saved = before(level, restore.triggered());
        int reached = before(level, restore.restored());
        int behind = request.getValue();
        if (behind < saved - reuse.applyAsInt(request.getKey())) {
          throw new AssertionError(
              ("Request %s was at step %d when the checkpoint of %s began, and continued after"
                      + " step %d: %s")
                  .formatted(request.getKey(), saved, restore, behind, level));
        }
        lost += Math.max(0, reached - saved);
        redone += Math.max(0, reached - Math.max(behind, saved));
        forFeatures += Math.max(0, saved - behind);
      }
      int inMidFlight = (int) wentOnBehind.values().stream().filter(step -> step > 0).count();
      costs.add(new Cost(restore, inMidFlight, lost, redone, forFeatures));
    }
    return costs;
  }

  private static TreeMap<Long, Integer> levels(
      Map<String, TreeMap<Long, Integer>> levels, String id) {
    return levels.computeIfAbsent(id, any -> new TreeMap<>());
  }

  /** The step that a request was last told to be at before a moment. */
  private static int before(TreeMap<Long, Integer> level, long moment) {
    Map.Entry<Long, Integer> last = level.lowerEntry(moment);
    return last == null ? 0 : last.getValue();
  }
}
