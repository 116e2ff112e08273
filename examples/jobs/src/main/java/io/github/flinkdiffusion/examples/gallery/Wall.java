/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.VoteEvent;
import io.github.flinkdiffusion.connector.kafka.EventHeaders;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What the page shows: the last results and dead letters, and the requests that wait. Everything in
 * it is bounded; images are not in it. Each change goes to {@link Changes} under the same lock, so
 * a snapshot and the changes after its number are the whole.
 */
final class Wall {
  /** Results and dead letters that are kept. */
  static final int MOST = 5_000;

  private static final int MOST_WAITING = 500;
  private static final int MOST_KNOWN = 20_000;
  private static final int CHANGES = 4_096;

  /** Where a request's image is. */
  record Source(GalleryTopics.Task task, Place place) {}

  private final Changes changes = new Changes(CHANGES);
  private final Recent<String, Result> results = new Recent<>(MOST);
  private final Recent<String, DeadLetter> deadLetters = new Recent<>(MOST);
  private final Recent<String, Waiting> waiting = new Recent<>(MOST_WAITING);
  private final Recent<String, byte[]> previews = new Recent<>(MOST_WAITING);
  private final Recent<String, Source> sources = new Recent<>(MOST_KNOWN);
  private final Recent<String, Long> answered = new Recent<>(MOST_KNOWN);
  private final Recent<String, String> replays = new Recent<>(MOST);
  private final Tally tally = new Tally();
  private long numbered;
  private long unreadable;
  private String lastUnreadable = "";

  Changes changes() {
    return changes;
  }

  /** A request that was read. One that was answered in the meantime does not wait. */
  synchronized void request(String id, String kind, String prompt, long time) {
    Long answer = answered.get(id);
    if (answer != null && answer >= time) {
      return;
    }
    Waiting before = waiting.get(id);
    if (before == null) {
      put(new Waiting(id, kind, prompt, 0, 0, -1, false, time));
    }
  }

  /** Where the image of an image task is, for comparison with its result. */
  synchronized void source(String id, Source source) {
    sources.put(id, source);
  }

  synchronized void progress(ProgressEvent progress) {
    Waiting before = waiting.get(progress.getId());
    // Progress may repeat after a failure, and it may come after the answer.
    if (before == null || progress.getStep() < before.step()) {
      return;
    }
    int preview = before.preview();
    if (progress.getPreview() != null) {
      previews.put(progress.getId(), bytes(progress.getPreview()));
      preview = progress.getStep();
    }
    put(before.at(progress.getStep(), progress.getTotalSteps(), preview));
  }

  synchronized void cancelling(String id) {
    Waiting before = waiting.get(id);
    if (before != null) {
      put(before.beingCancelled());
    }
  }

  synchronized void result(Place place, ImageEvent event, long time) {
    Result result = Result.of(++numbered, place, event, time);
    results.put(result.place(), result);
    answered(event.getId(), time);
    changes.add("result", Json.text(result));
  }

  synchronized void failure(Place place, FailureEvent event, long time) {
    RecordContext context = event.getContext();
    ByteBuffer times = context == null ? null : context.getHeaders().get(EventHeaders.RESENT);
    DeadLetter letter =
        new DeadLetter(
            place.toString(),
            event.getId(),
            event.getReason().toString(),
            event.getMessage(),
            event.getTopic(),
            event.getOriginal().remaining(),
            times == null ? "0" : new String(bytes(times), StandardCharsets.UTF_8),
            time,
            false);
    deadLetters.put(letter.place(), letter);
    if (event.getId() != null) {
      answered(event.getId(), time);
    }
    changes.add("failure", Json.text(letter));
  }

  synchronized void resent(Place place) {
    DeadLetter letter = deadLetters.get(place.toString());
    if (letter != null && !letter.resent()) {
      if (letter.id() != null) {
        answered.remove(letter.id());
      }
      deadLetters.put(letter.place(), letter.sentAgain());
      changes.add("resent", Json.text(Json.object().put("place", letter.place())));
    }
  }

  synchronized void vote(VoteEvent vote) {
    tally.add(vote);
    changes.add("tally", Json.text(tally.rows()));
  }

  synchronized void replay(ReplayState state) {
    String json = Json.text(state);
    replays.put(state.place(), json);
    changes.add("replay", json);
  }

  synchronized void unreadable(String what) {
    unreadable++;
    lastUnreadable = what;
    changes.add("unreadable", Json.text(Json.object().put("count", unreadable).put("last", what)));
  }

  private void answered(String id, long time) {
    answered.remove(id);
    answered.put(id, time);
    waiting.remove(id);
    previews.remove(id);
  }

  private void put(Waiting request) {
    waiting.put(request.id(), request);
    changes.add("waiting", Json.text(request));
  }

  /**
   * What there is now.
   *
   * @param most of the results; older ones come by {@link #results}
   */
  synchronized String snapshot(int most) {
    ObjectNode all = Json.object().put("number", changes.last()).put("total", numbered);
    all.set("waiting", Json.MAPPER.valueToTree(waiting.values()));
    all.set("results", Json.MAPPER.valueToTree(results(Long.MAX_VALUE, most)));
    all.set("deadLetters", Json.MAPPER.valueToTree(newest(deadLetters.values(), most)));
    all.put("deadLetterCount", deadLetters.size());
    all.set("tally", Json.MAPPER.valueToTree(tally.rows()));
    all.putObject("unreadable").put("count", unreadable).put("last", lastUnreadable);
    return Json.text(all);
  }

  /** The newest results with numbers below one, newest first. */
  synchronized List<Result> results(long before, int most) {
    List<Result> all = new ArrayList<>(results.values());
    List<Result> some = new ArrayList<>();
    for (int i = all.size() - 1; i >= 0 && some.size() < most; i--) {
      if (all.get(i).number() < before) {
        some.add(all.get(i));
      }
    }
    return some;
  }

  private static <T> List<T> newest(Iterable<T> of, int most) {
    List<T> all = new ArrayList<>();
    of.forEach(all::add);
    List<T> some = new ArrayList<>();
    for (int i = all.size() - 1; i >= 0 && some.size() < most; i--) {
      some.add(all.get(i));
    }
    return some;
  }

  synchronized Optional<Result> result(Place place) {
    return Optional.ofNullable(results.get(place.toString()));
  }

  synchronized Optional<DeadLetter> deadLetter(Place place) {
    return Optional.ofNullable(deadLetters.get(place.toString()));
  }

  synchronized boolean waits(String id) {
    return waiting.containsKey(id);
  }

  synchronized Optional<byte[]> preview(String id) {
    return Optional.ofNullable(previews.get(id));
  }

  synchronized Optional<Source> sourceOf(String id) {
    return Optional.ofNullable(sources.get(id));
  }

  /** JSON, or empty when nothing was replayed. */
  synchronized Optional<String> replayOf(Place place) {
    return Optional.ofNullable(replays.get(place.toString()));
  }

  synchronized ArrayNode tally() {
    return Json.MAPPER.valueToTree(tally.rows());
  }

  private static byte[] bytes(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return bytes;
  }
}
